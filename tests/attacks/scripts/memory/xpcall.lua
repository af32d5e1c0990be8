-- expect: memory_limit_exceeded
while true do xpcall(string.rep, function() return 1 end, "x", 1e9) end
