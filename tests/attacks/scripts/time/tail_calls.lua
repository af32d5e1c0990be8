-- expect: time_limit_exceeded
local function f() return f() end
return f()
