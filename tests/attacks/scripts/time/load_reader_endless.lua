-- expect: ok "nil"
return tostring((load(function() return "-- " end)))
