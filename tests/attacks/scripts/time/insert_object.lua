-- expect: time_limit_exceeded
table.insert(setmetatable({}, { __len = function() return 1 << 60 end, __newindex = function() end }), 1, "x")
