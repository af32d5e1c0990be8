-- expect: time_limit_exceeded
xpcall(error, function()
  coroutine.wrap(function() while true do pcall(error) end end)()
end)
