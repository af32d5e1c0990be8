-- expect: time_limit_exceeded
local t = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 }
t[17], t[32], t[33] = 1, 1, 1
for k = 6, 61 do t[1 << k] = 1 end
table.remove(t, 1)
