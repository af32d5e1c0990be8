-- expect: time_limit_exceeded
local c=coroutine.wrap(function() local x <close> =setmetatable({},{__close=function() while true do end end}) while true do end end) pcall(c) while true do end
