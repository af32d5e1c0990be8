-- expect: ok "nil"
return tostring(string.dump)
