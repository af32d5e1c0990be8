-- expect: time_limit_exceeded
local t = setmetatable({}, { __len = function() return 20000 end, __index = function() return 1 end, __newindex = function() end })
while true do table.sort(t) end
