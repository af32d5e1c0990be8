-- expect: ok "nil nil"
return tostring(load("return debug")()) .. " " .. tostring(load("return _ENV and _ENV.debug", "x", "t", {})())
