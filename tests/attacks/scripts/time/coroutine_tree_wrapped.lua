-- expect: time_limit_exceeded
local wrap = coroutine.wrap
local function f(d) if d > 0 then wrap(f)(d - 1) wrap(f)(d - 1) end end
wrap(f)(60)
