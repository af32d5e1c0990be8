-- expect: time_limit_exceeded
local m={} m.__eq=function() while true do end end local a,b=setmetatable({},m),setmetatable({},m) return a==b
