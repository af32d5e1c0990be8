-- expect: script_runtime_error
return ('%s'):rep(1e5):format()
