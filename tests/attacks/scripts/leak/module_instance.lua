-- expect: ok
local greet = require("greet")
greet.hello = function() return "hacked" end
greet.leaked = 1
return "x"
