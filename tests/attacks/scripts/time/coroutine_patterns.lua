-- expect: time_limit_exceeded
local text = ("a"):rep(3000)
coroutine.wrap(function() while true do local _ = text:find("a*b") end end)()
