-- expect: time_limit_exceeded
xpcall(error, function() while true do end end)
