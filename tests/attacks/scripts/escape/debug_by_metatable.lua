-- expect: script_runtime_error
getmetatable(json.null).__index = string
