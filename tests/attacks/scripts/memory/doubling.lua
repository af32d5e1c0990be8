-- expect: memory_limit_exceeded
local s = "x" while true do s = s .. s end
