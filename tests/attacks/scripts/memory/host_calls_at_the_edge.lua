-- expect: ok|time_limit_exceeded|memory_limit_exceeded memory 2
-- With memory filled to the last bytes, host calls fail cleanly: the host can hand nothing over that does not fit.
local hold, n, size = {}, 0, 0
for i = 1, 40000 do hold[i] = false end
local guard = setmetatable({}, { __close = function(_, e) if e then error("full", 0) end end })
local fields, text, require_ = { b = 1 }, ("b"):rep(50), _G["require"]
local function inner(f, ...) local _ <close> = guard return true, f(...) end
local function swallow(f, ...) return pcall(inner, f, ...) end
local function one() hold[n + 1] = ("z"):rep(size) n = n + 1 end
local function fill(s) size = s while n < 39000 and swallow(one) do end end
for rest = 41, 400, 23 do
  fill(4096) fill(512) fill(rest) fill(41)
  for _ = 1, 5 do
    swallow(print, text) swallow(print, 1) swallow(log.info, text, fields)
    swallow(require_, "none") swallow(require_, "greet") swallow(json.encode, fields) swallow(error, fields)
  end
  for i = 1, n do hold[i] = false end
  n = 0
end
