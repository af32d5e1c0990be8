-- expect: time_limit_exceeded
repeat until false
