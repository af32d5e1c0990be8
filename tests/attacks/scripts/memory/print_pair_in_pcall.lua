-- expect: memory_limit_exceeded
local s=('x'):rep(3<<20) while true do pcall(print,s,s) end
