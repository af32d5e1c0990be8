-- expect: ok "done"
local meta = {}
for _ = 1, 1000 do setmetatable({}, meta) end
meta.__gc = function() while true do end end
for i = 1, 2000 do local _ = ("x"):rep(1000 + i) end
return "done"
