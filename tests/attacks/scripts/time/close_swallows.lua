-- expect: time_limit_exceeded
while true do
  pcall(function()
    local x <close> = setmetatable({}, { __close = function() error("other") end })
    while true do end
  end)
end
