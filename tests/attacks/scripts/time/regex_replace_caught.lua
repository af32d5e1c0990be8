-- expect: time_limit_exceeded
local text = ("a"):rep(2^20)
while true do pcall(regex.replace, "a.*b|a", text, function(m) pcall(regex.split, "a.*b|a", text) return m.text end) end
