-- expect: time_limit_exceeded|memory_limit_exceeded memory 64
return (("a"):find(("a?"):rep(100000) .. "b"))
