-- expect: time_limit_exceeded memory 64 as test
local text, needle = ("a"):rep(5000000), ("a"):rep(2000000) .. "b"
while true do pcall(function() expect(text):contains(needle) end) end
