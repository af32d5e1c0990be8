-- expect: script_runtime_error|time_limit_exceeded
return table.unpack(setmetatable({}, { __len = function() return 1 << 60 end, __index = function() while true do end end }))
