-- expect: time_limit_exceeded
return (("("):rep(200000):find("%b()"))
