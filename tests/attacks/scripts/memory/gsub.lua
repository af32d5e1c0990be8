-- expect: memory_limit_exceeded
return (("a"):rep(100000):gsub("a", ("b"):rep(1000)))
