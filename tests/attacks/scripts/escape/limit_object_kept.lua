-- expect: time_limit_exceeded
-- A close handler sees the limit's error object in the instant before it is stopped itself.
coroutine.wrap(function()
  local x <close> = setmetatable({}, { __close = function(_, e) caught = e error("other", 0) end })
  coroutine.wrap(function() while true do end end)()
end)()
