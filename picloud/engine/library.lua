-- What the functions made in `library.py` stand on: checks of arguments, and how tables cross as flat lists of scalars.
-- Given: host(name, ...), the JSON codec's two functions, fail(code, message), what gives the table behind a read-only one,
-- pcall. The bounds stand in lines before this file. Returned at the end: the namespaces by name.
local host, encode, decode, fail, raw, pcall = ...
local type, next, error, tostring = type, next, error, tostring
local tointeger, unpack, pack, sort, concat = math.tointeger, table.unpack, table.pack, table.sort, table.concat

local function bad(name, argument, expected, value)
  local got = expected == "an integer" and type(value) == "number" and tostring(value) or type(value)
  fail("invalid_input", name .. ": " .. argument .. " must be " .. expected .. ", got " .. got)
end

-- A string that Lua has once crosses as often as it is named, so what one call may hand over is counted here.
local function check_size(name, argument, value)
  if #value > ARGUMENT_MAX then
    fail("invalid_input", name .. ": " .. argument .. " has more than " .. ARGUMENT_MAX .. " bytes")
  end
end

local function encoded(value, name, argument)
  local text = encode(value)
  if #text > VALUE_MAX then
    fail("invalid_input", name .. ": " .. argument .. " has more than " .. VALUE_MAX .. " bytes as JSON")
  end
  return text
end

local function spend(out, name, bytes)
  out.left = out.left - bytes - ITEM_COST
  if out.left < 0 then
    fail("invalid_input", name .. ": the arguments have more than " .. BUDGET .. " bytes in all")
  end
end

local function known(name, options, names)
  if options == nil then return {} end
  if type(options) ~= "table" then bad(name, "options", "a table", options) end
  for key in next, raw(options) or options do
    if not names[key] then
      local list = {}
      for option in next, names do list[#list + 1] = option end
      sort(list)
      local wrong = tostring(key):sub(1, 60)
      fail("invalid_input", name .. ": there is no option '" .. wrong .. "'; the options are " .. concat(list, ", "))
    end
  end
  return options
end

local function put(out, n, value, name)
  local is_json = type(value) ~= "string"
  if is_json then value = encode(value) end
  spend(out, name, #value)
  out[n + 1], out[n + 2] = is_json, value
  return n + 2
end

local function put_list(out, n, list, name, argument, strings)
  local count = tointeger(#list)
  if not count or count < 0 then bad(name, "the length of " .. argument, "an integer", #list) end
  out[n + 1] = count
  n = n + 1
  for i = 1, count do
    local item = list[i]
    if strings then
      if type(item) ~= "string" then bad(name, argument .. "[" .. i .. "]", "a string", item) end
      spend(out, name, #item)
      n = n + 1
      out[n] = item
    else
      if item == nil then bad(name, argument .. "[" .. i .. "]", "a value, or json.null", item) end
      n = put(out, n, item, name)
    end
  end
  return n
end

local function put_map(out, n, map, name, argument)
  local count, at = 0, n + 1
  n = at
  for key, value in next, raw(map) or map do
    if type(key) ~= "string" then bad(name, "a key of " .. argument, "a string", key) end
    spend(out, name, #key)
    out[n + 1] = key
    n = put(out, n + 1, value, name)
    count = count + 1
  end
  out[at] = count
  return n
end

local function value_of(text)
  if text == nil then return nil end
  return decode(text)
end

local function data_of(is_json, content)
  if is_json then return decode(content) end
  return content
end

local function list_of(count, ...)
  if count == nil then return nil end
  return { ... }
end

local function data_map_of(count, ...)
  if count == nil then return nil end
  local flat, map = { ... }, {}
  for i = 1, 3 * count, 3 do map[flat[i]] = data_of(flat[i + 1], flat[i + 2]) end
  return map
end

local function rows_of(rows, columns, ...)
  local flat, list, at = { ... }, {}, columns
  for r = 1, rows do
    local row = {}
    for c = 1, columns do
      local name = flat[c]
      if name:sub(-1) == "*" then
        row[name:sub(1, -2)] = data_of(flat[at + 1], flat[at + 2])
        at = at + 2
      else
        at = at + 1
        row[name] = flat[at]
      end
    end
    list[r] = row
  end
  return list
end

local function row_of(...)
  if ... == nil then return nil end
  return rows_of(...)[1]
end

local library = {}
