-- expect: time_limit_exceeded
local guard = setmetatable({}, { __close = function() while true do end end })
for _ in function() while true do end end, nil, nil, guard do end
