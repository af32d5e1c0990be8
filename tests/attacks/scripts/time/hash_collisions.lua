-- expect: time_limit_exceeded|ok within 1
-- Integer keys that all fall into one slot: a table grows in one step no hook sees. Larger ones cost the worker (0006).
local t, m = {}, (1 << 15) - 1
for j = 1, 1 << 14 do t[j * m] = 1 end
t[-1] = 1
