-- expect: time_limit_exceeded
while true do pcall(pcall, pcall, function() while true do end end) end
