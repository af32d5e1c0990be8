-- expect: time_limit_exceeded
local main = coroutine.running()
local co = coroutine.wrap(function()
  while true do pcall(coroutine.close, main) pcall(coroutine.resume, main) end
end)
co()
