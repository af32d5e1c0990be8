-- expect: time_limit_exceeded
xpcall(function() xpcall(function() while true do end end, function() while true do end end) end, function() while true do end end)
