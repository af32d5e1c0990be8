-- expect: memory_limit_exceeded
return ("x"):rep(100000000)
