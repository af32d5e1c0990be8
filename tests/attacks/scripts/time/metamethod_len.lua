-- expect: time_limit_exceeded
return #setmetatable({},{__len=function() while true do end end})
