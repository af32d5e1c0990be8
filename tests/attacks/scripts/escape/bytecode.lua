-- expect: ok "nil nil"
local text = "\27Lua\84\0\25\147\r\n\26\n\4\8\8xV"
return tostring((load(text))) .. " " .. tostring((load(text, "x", "b")))
