-- expect: call_limit_exceeded calls 100
local guard = setmetatable({}, { __close = function() error("other", 0) end })
while true do
  pcall(function() local _ <close> = guard while true do request.remaining_ms() end end)
end
