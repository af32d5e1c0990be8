-- expect: call_limit_exceeded calls 100
while true do pcall(request.remaining_ms) end
