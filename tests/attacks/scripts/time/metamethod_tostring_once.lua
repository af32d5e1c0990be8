-- expect: time_limit_exceeded
local t=setmetatable({},{__tostring=function() while true do end end}) return tostring(t)
