-- expect: time_limit_exceeded
for _ in function() return 1 end do end
