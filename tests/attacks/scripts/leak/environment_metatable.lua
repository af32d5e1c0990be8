-- expect: ok
setmetatable(_G, { __index = function() return "leaked" end, __newindex = function() end })
return "x"
