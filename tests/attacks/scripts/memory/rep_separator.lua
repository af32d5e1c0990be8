-- expect: memory_limit_exceeded
return ('x'):rep(1<<22, ('y'):rep(1<<22))
