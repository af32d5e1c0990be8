-- expect: time_limit_exceeded
return (("a"):rep(10):gsub("a", function() while true do end end))
