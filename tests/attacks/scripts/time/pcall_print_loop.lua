-- expect: time_limit_exceeded
while true do pcall(print, "x") pcall(log.info, "x", { a = 1 }) end
