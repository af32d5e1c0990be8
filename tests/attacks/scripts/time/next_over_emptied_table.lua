-- expect: time_limit_exceeded
local t={} for i=1,2e5 do t[i]=i end for i=1,2e5 do t[i]=nil end while true do next(t) end
