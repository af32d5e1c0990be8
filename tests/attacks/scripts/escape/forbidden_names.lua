-- expect: ok ""
local found = {}
for _, name in ipairs({ "io", "package", "debug", "python", "collectgarbage", "dofile", "loadfile", "loadstring", "setfenv", "warn" }) do
  if _G[name] ~= nil or _ENV[name] ~= nil then found[#found + 1] = name end
end
for _, name in ipairs({ "execute", "exit", "getenv", "remove", "rename", "tmpname", "setlocale" }) do
  if os[name] ~= nil then found[#found + 1] = "os." .. name end
end
return table.concat(found, " ")
