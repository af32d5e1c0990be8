-- expect: time_limit_exceeded
local text = "[" .. ("1,"):rep(100000) .. "1]"
while true do pcall(json.decode, text) end
