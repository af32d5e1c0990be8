-- expect: time_limit_exceeded
local function f(n) if n == 0 then while true do end end return pcall(f, n - 1) end
while true do f(150) end
