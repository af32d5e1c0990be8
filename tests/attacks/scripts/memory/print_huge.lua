-- expect: ok|memory_limit_exceeded
local s = ("x"):rep(3000000)
for _ = 1, 3 do print(s) log.info(s) end
return "x"
