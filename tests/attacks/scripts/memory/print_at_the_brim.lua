-- expect: memory_limit_exceeded
local t={} local s for i=1,7e3 do t[i]=('x'):rep(1000)..i end for i=1,1e6 do pcall(print,'a') t[#t+1]=('y'):rep(1000)..i end
