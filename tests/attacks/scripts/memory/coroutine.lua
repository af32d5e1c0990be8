-- expect: memory_limit_exceeded
while true do coroutine.resume(coroutine.create(function() return ("x"):rep(1e9) end)) end
