-- expect: time_limit_exceeded
for i = 1, math.maxinteger do end
