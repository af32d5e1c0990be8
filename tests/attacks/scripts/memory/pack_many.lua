-- expect: script_runtime_error
return string.pack(('i'):rep(1e6),1)
