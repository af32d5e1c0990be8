-- expect: time_limit_exceeded
local t = {}
local meta = { __index = function(_, k) return t[k] end, __eq = function() while true do end end,
  __lt = function() while true do end end, __concat = function() while true do end end }
local a, b = setmetatable({}, meta), setmetatable({}, meta)
while true do pcall(function() return a == b end) pcall(function() return a < b end) pcall(function() return a .. b end) end
