-- expect: time_limit_exceeded
::again:: goto again
