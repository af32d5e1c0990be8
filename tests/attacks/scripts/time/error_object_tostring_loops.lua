-- expect: script_runtime_error "not valid JSON at byte 2: expected a string as key"
-- What a script does to an error object of PiCloud's changes nothing of what PiCloud reads from it.
local ok, e = pcall(json.decode, "{")
e.message = setmetatable({}, { __tostring = function() while true do end end })
rawset(e, "code", "time_limit_exceeded")
error(e)
