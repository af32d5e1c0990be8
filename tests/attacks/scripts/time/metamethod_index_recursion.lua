-- expect: time_limit_exceeded
local t=setmetatable({},{__index=function(t,k) return t[k+1] end}) pcall(function() return t[1] end) while true do end
