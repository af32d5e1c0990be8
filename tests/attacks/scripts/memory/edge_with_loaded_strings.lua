-- expect: ok|memory_limit_exceeded|time_limit_exceeded memory 2
local hold = {}
local function fill(size)
  pcall(function()
    local guard <close> = setmetatable({}, { __close = function(_, e) if e then error("full", 0) end end })
    while true do hold[#hold + 1] = ("z"):rep(size + #hold % 7) end
  end)
end
for size = 20000, 24, -500 do fill(size) pcall(print, "a", size) end
for _ = 1, 1000 do fill(24) pcall(print, "q") pcall(error, { 1 }) end
return table.concat(hold)
