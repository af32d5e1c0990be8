-- expect: memory_limit_exceeded
return ('x'):rep(7<<20)
