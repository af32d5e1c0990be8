-- expect: time_limit_exceeded
while true do pcall(function() while true do end end) end
