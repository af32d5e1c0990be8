-- expect: time_limit_exceeded|script_runtime_error
local t = {}
for i = 1, 20000 do t[i] = i end
while true do table.sort(t, rawequal) table.sort(t, math.ult) end
