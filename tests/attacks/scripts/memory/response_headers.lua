-- expect: ok|memory_limit_exceeded|invalid_response
local many = {} for i = 1, 50000 do many[i] = "v" end
return "x", 200, { ["x-a"] = many }
