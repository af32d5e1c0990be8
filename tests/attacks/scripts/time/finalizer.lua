-- expect: script_runtime_error
for _ = 1, 10 do setmetatable({}, { __gc = function() while true do end end }) end
