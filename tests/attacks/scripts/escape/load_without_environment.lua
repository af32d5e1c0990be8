-- expect: ok "false"
return tostring((pcall(load("return io", "x", "t", nil))))
