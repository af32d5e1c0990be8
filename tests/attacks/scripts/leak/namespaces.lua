-- expect: ok "false 0"
local changed = 0
for _, change in ipairs({
  function() json.encode = function() return "hacked" end end,
  function() json.leaked = 1 end,
  function() log.leaked = 1 end,
  function() rawset(json, "leaked", 1) end,
  function() rawset(hex, "encode", nil) end,
  function() table.insert(json, 1) end,
  function() setmetatable(log, { __index = function() return 1 end }) end,
  function() getmetatable(json).__index = {} end,
}) do
  if pcall(change) then changed = changed + 1 end
end
response.leaked, request.leaked = 1, 1
json = { encode = function() return "hacked" end } -- a name of this run only
return tostring(getmetatable(_G.hex)) .. " " .. changed
