-- expect: memory_limit_exceeded
local t={} pcall(function() while true do t[#t+1]=('x'):rep(1000)..#t end end) return require('greet')
