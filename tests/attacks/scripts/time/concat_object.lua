-- expect: time_limit_exceeded|memory_limit_exceeded
return table.concat(setmetatable({}, { __len = function() return 1 << 60 end, __index = function() return "" end }))
