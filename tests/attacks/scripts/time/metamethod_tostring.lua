-- expect: time_limit_exceeded
local t = setmetatable({}, { __tostring = function() while true do end end })
while true do pcall(print, t) pcall(string.format, "%s", t) pcall(log.info, t) end
