-- expect: time_limit_exceeded
coroutine.wrap(function() while true do end end)()
