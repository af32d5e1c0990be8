-- expect: cpu_limit_exceeded cpu 0.1
while true do end
