-- expect: time_limit_exceeded
leaked = true
string.leaked = true
while true do end
