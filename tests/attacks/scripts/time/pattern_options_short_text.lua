-- expect: time_limit_exceeded|memory_limit_exceeded|script_runtime_error memory 64
return (("aa"):find(("a?"):rep(4000) .. "b"))
