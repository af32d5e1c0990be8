-- expect: ok|memory_limit_exceeded memory 2
-- Fill memory ever closer to the cap; a host call must fail cleanly however little is left.
local hold, size = {}, 65536
while size >= 16 do
  local ok = false
  local done = pcall(function()
    local guard <close> = setmetatable({}, { __close = function(_, e) if e then error("full", 0) end end })
    hold[#hold + 1] = ("z"):rep(size)
    ok = true
  end)
  pcall(print, "a")
  pcall(log.info, "a", { b = 1 })
  pcall(json.encode, { 1, 2, 3 })
  if not ok then size = size // 2 end
end
while true do
  pcall(print, "a")
  pcall(_G["require"], "greet")
  hold[#hold + 1] = {}
end
