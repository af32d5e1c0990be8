-- expect: script_runtime_error|memory_limit_exceeded
error(("x"):rep(3000000))
