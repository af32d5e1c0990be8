-- expect: ok|memory_limit_exceeded|time_limit_exceeded
for i = 1, 200 do pcall(string.find, "x", ("[a-z]+"):rep(1000) .. i) end
return "x"
