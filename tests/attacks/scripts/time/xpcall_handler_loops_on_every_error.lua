-- expect: time_limit_exceeded
local function h(e) while true do end end while true do xpcall(error,h,'x') end
