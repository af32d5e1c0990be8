-- expect: time_limit_exceeded
while true do load("local a if a then " .. ("elseif a then "):rep(4000) .. " end") end
