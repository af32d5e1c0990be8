-- expect: module_not_found
local name = "gre" .. "et"
return _G["req" .. "uire"](name).hello()
