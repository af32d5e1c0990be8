-- expect: time_limit_exceeded
return (("a"):rep(5000):match(".-.-.-.-.-b"))
