-- expect: ok
local t = json.array({})
rawset(t, "x", 1)
pcall(function() getmetatable(t).leaked = 1 end)
return "x"
