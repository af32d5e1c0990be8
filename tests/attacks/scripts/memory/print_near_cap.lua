-- expect: memory_limit_exceeded|ok
local all = {}
for i = 1, 1e6 do
  all[i] = ("x"):rep(997)
  if i % 50 == 0 then print("y") end
end
return "x"
