-- expect: time_limit_exceeded
table.move({}, 1, 1 << 60, 2)
