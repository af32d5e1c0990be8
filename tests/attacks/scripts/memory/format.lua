-- expect: memory_limit_exceeded|script_runtime_error
local s = ("x"):rep(1000000)
return string.format(("%s"):rep(200), table.unpack((function() local t = {} for i = 1, 200 do t[i] = s end return t end)()))
