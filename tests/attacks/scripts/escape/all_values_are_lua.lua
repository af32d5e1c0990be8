-- expect: ok ""
-- Walk everything reachable: no userdata (a Python object would be one), no thread but the main one.
local seen, odd = {}, {}
local function walk(value, path)
  local kind = type(value)
  if kind == "userdata" then odd[#odd + 1] = path end
  if kind ~= "table" or seen[value] then return end
  seen[value] = true
  local meta = getmetatable(value)
  if type(meta) == "table" then walk(meta, path .. "<meta>") end
  for k, v in next, value do walk(k, path .. "<key>") walk(v, path .. "." .. tostring(k)) end
end
walk(_G, "_G") walk(_ENV, "_ENV") walk(request, "request") walk(response, "response")
for _, f in ipairs({ json.decode, _G["require"], print, log.info, response.html, setmetatable, coroutine.resume, load }) do
  local ok, e = pcall(f, {})
  walk(e, "error")
  ok, e = pcall(f)
  walk(e, "error")
end
return table.concat(odd, " ")
