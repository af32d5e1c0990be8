-- expect: time_limit_exceeded
local greet = require("greet")
while true do pcall(greet.hello) end
