-- expect: time_limit_exceeded memory 64
local text = ("a"):rep(10000000)
coroutine.wrap(function() while true do local _ = text:upper() _ = utf8.len(text) end end)()
