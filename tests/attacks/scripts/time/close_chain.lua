-- expect: time_limit_exceeded
local meta = { __close = function() while true do pcall(error) end end }
local function f(n) local a <close> = setmetatable({}, meta) if n > 0 then return (f(n - 1)) end while true do end end
f(100)
