-- expect: time_limit_exceeded
while true do end
