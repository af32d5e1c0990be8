-- expect: call_limit_exceeded calls 100
while true do
  local co = coroutine.create(function() while true do pcall(request.remaining_ms) end end)
  pcall(coroutine.resume, co)
end
