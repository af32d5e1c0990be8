-- expect: ok|memory_limit_exceeded
return ("x"):rep(4000000)
