-- expect: time_limit_exceeded|ok memory 64
local text, needle = ("a"):rep(5000000), ("a"):rep(2000000) .. "b"
while true do local _ = text:find(needle, 1, true) end
