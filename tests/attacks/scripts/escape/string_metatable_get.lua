-- expect: ok "false"
return tostring(getmetatable(""))
