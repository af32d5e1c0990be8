-- expect: ok "x" memory 64
-- A chain of weak keys, which the collector would take a minute for if tables could be weak.
local t = setmetatable({}, { __mode = "k" })
local first = {}
local k = first
for _ = 1, 200000 do local n = {} t[k] = n k = n end
for i = 1, 100 do local _ = ("y"):rep(100000 + i) end
return "x"
