-- expect: time_limit_exceeded
local c=coroutine.create(function() while true do pcall(function() while true do end end) end end) while true do pcall(coroutine.resume,c) end
