-- expect: time_limit_exceeded
for i,v in ipairs(setmetatable({},{__index=function() return 1 end})) do end
