-- expect: time_limit_exceeded memory 2
local hold, n, size = {}, 0, 0
for i = 1, 40000 do hold[i] = false end
local guard = setmetatable({}, { __close = function(_, e) if e then error("full", 0) end end })
local function inner(f, ...) local _ <close> = guard return true, f(...) end
local function swallow(f, ...) return pcall(inner, f, ...) end
local function one() hold[n + 1] = ("z"):rep(size) n = n + 1 end
local function fill(s) size = s while n < 39000 and swallow(one) do end end
fill(4096) fill(512) fill(41)
while true do swallow(one) end
