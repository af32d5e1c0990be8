-- expect: ok "nil"
return tostring((load("return 1", "x", "b")))
