-- expect: time_limit_exceeded
local co = coroutine.create(function()
  local x <close> = setmetatable({}, { __close = function() while true do end end })
  while true do end
end)
local guard <close> = setmetatable({}, { __close = function() coroutine.close(co) end })
pcall(coroutine.resume, co)
pcall(coroutine.close, co)
coroutine.close(co)
