-- expect: time_limit_exceeded
load(function() while true do end end)
