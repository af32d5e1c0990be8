-- expect: time_limit_exceeded
local function f(n) if n==0 then while true do end end local c=coroutine.create(function() f(n-1) end) coroutine.resume(c) while true do end end f(20)
