-- expect: time_limit_exceeded
while true do utf8.len(('é'):rep(1e6)) end
