-- expect: time_limit_exceeded
xpcall(function() error('a') end, function(e) error(e) end) while true do end
