-- expect: time_limit_exceeded
while true do local x <close> =setmetatable({},{__close=function() end}) end
