-- expect: memory_limit_exceeded
local s=('x'):rep(5<<20) return {a=s,b=s,c=s}
