-- expect: time_limit_exceeded within 1.5
while true do load("local a if a then " .. ("elseif a then "):rep(4000) .. " end") end
