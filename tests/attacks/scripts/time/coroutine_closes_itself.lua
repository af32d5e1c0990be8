-- expect: time_limit_exceeded
local c c=coroutine.create(function() coroutine.close(c) while true do end end) coroutine.resume(c) while true do end
