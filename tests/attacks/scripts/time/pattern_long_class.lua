-- expect: time_limit_exceeded
return (("a"):rep(3000):find("[" .. ("b"):rep(500000) .. "a]*c"))
