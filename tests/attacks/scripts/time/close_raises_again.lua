-- expect: time_limit_exceeded
local function f() local x <close> =setmetatable({},{__close=function() error('again') end}) error('one') end while true do pcall(f) end
