-- expect: time_limit_exceeded
local function f() local ok,e=pcall(f) return f() end f()
