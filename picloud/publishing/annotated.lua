
-- What follows serves the annotated cells above in the manner of Jupyter Kernel Gateway (notebook-http mode).
local function as_text(value)
  local kind = request.headers["content-type"] or ""
  if value == "" then return "" end
  if kind:find("json", 1, true) then return request.json end
  if kind:find("x-www-form-urlencoded", 1, true) then
    local fields = {}
    for name, field in pairs(request.form) do fields[name] = json.array({ field }) end
    return fields
  end
  return value
end

local function printed_by(cell)
  local lines = {}
  function print(...)
    local parts = table.pack(...)
    for index = 1, parts.n do parts[index] = tostring(parts[index]) end
    lines[#lines + 1] = table.concat(parts, "\t", 1, parts.n) .. "\n"
  end
  local returned = table.pack(cell())
  return table.concat(lines), returned
end

local arguments = {}
for name, value in pairs(request.query) do arguments[name] = json.array({ value }) end
REQUEST = json.encode({
  body = as_text(request.body), args = arguments, path = request.params, headers = request.headers,
})
local printed, returned = printed_by(handler)
local body, status, headers = printed, nil, nil
if printed == "" and returned.n > 0 then body, status, headers = table.unpack(returned, 1, 3) end
if response_info then
  local info = json.decode((printed_by(response_info)))
  status, headers = info.status or status, info.headers or headers
end
return body, status, headers
