-- expect: ok "false false false"
local a = pcall(rawset, json.null, "leaked", 1)
local b = pcall(function() json.null = nil end)
local c = pcall(setmetatable, json.null, {})
return tostring(a) .. " " .. tostring(b) .. " " .. tostring(c)
