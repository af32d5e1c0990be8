-- expect: time_limit_exceeded
local function swallow()
  pcall(function()
    local x <close> = setmetatable({}, { __close = function() error("other") end })
    coroutine.wrap(function() while true do end end)()
  end)
end
coroutine.wrap(function() while true do swallow() end end)()
