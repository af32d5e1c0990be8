-- expect: script_runtime_error
return json.decode(("["):rep(1000000))
