-- expect: time_limit_exceeded|memory_limit_exceeded|ok within 5
local t = setmetatable({}, { __mode = "k" })
local first = {}
local k = first
for _ = 1, 20000 do local n = {} t[k] = n k = n end
for i = 1, 100 do local _ = ("y"):rep(100000 + i) end
return "x"
