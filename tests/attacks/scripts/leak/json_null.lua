-- expect: script_runtime_error
json.null.leaked = 1
