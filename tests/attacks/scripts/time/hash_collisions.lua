-- expect: time_limit_exceeded|ok within 6
-- Integer keys that all fall into one slot: Lua's table grows in one step that no hook sees. Bounded by memory only.
local t, m = {}, (1 << 15) - 1
for j = 1, 1 << 14 do t[j * m] = 1 end
t[-1] = 1
