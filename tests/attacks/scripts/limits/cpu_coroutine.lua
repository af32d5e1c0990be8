-- expect: cpu_limit_exceeded cpu 0.1
coroutine.wrap(function() while true do end end)()
