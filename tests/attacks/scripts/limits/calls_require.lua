-- expect: call_limit_exceeded calls 100
local r = _G["require"]
while true do pcall(r, "none") end
