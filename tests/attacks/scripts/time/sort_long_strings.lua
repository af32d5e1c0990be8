-- expect: time_limit_exceeded
local long, t = ("a"):rep(3000000), {}
for i = 1, 20000 do t[i] = long end
table.sort(t)
