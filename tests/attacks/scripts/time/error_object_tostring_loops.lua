-- expect: time_limit_exceeded
local ok, e = pcall(json.decode, "{")
e.message = setmetatable({}, { __tostring = function() while true do end end })
error(e)
