-- expect: time_limit_exceeded
local function nest(n)
  if n == 0 then while true do pcall(function() while true do end end) end end
  return coroutine.wrap(nest)(n - 1)
end
return nest(50)
