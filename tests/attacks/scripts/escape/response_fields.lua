-- expect: invalid_response|script_runtime_error
local r = response.text("x")
r.body, r.headers, r.status = setmetatable({}, { __index = function() return 1 end }), "x", "200"
return r
