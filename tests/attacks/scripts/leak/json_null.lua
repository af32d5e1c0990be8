-- expect: script_runtime_error
rawset(json.null, "leaked", 1)
json.null.leaked = 1
