-- expect: memory_limit_exceeded
local s=('x'):rep(6<<20) while true do print(s) end
