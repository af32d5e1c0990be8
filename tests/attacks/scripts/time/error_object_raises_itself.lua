-- expect: script_runtime_error
local ok, e = pcall(json.decode, "{")
e.message = setmetatable({}, { __tostring = function() error(e) end })
error(e)
