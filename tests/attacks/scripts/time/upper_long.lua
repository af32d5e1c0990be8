-- expect: time_limit_exceeded
while true do (('x'):rep(1e6)):upper() end
