-- expect: ok "nil"
return tostring((load("local a if a then " .. ("elseif a then "):rep(70000) .. " end")))
