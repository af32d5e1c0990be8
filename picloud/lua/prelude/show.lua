-- Values as people see them: what a cell gives, what a test expected and what it got.
-- Given: the JSON codec; what gives the table behind a read-only one; the source of what scripts must not see.
-- Returns show(value): JSON text as `picloud/model/value.py` reads it, bounded however large the value is. No metamethod runs.
local json, raw, HOST_SOURCE = ...

local type, next, tostring, tonumber, rawequal, rawget, rawlen = type, next, tostring, tonumber, rawequal, rawget, rawlen
local getmetatable, getinfo = debug.getmetatable, debug.getinfo
local byte, format, gsub, sub, find = string.byte, string.format, string.gsub, string.sub, string.find
local concat, sort, utf8len, mathtype = table.concat, table.sort, utf8.len, math.type

local NODES_MAX = 3000 -- keys left out
local DEPTH_MAX = 12
local ENTRIES_MAX = 500 -- of one table
local KEYS_SORTED_MAX = 5000
local TOP_TEXT_MAX, TEXT_MAX, TEXTS_MAX = 256 * 1024, 4096, 256 * 1024 -- bytes of a string alone, of one in a table, of all
local LABEL_MAX = 60

local function escape(c)
  return format("\\x%02x", byte(c))
end

local function cut(text, limit)
  if #text <= limit then return text end
  if limit <= 0 then return "" end
  local last = limit
  for _ = 1, 3 do
    local following = byte(text, last + 1)
    if following < 0x80 or following > 0xBF then break end
    last = last - 1
  end
  return sub(text, 1, last)
end

local function show_text(text, state, limit)
  if limit > state.left then limit = state.left end
  local shown, kind = cut(text, limit), "s"
  if not utf8len(shown) then
    shown, kind = gsub(sub(shown, 1, limit // 4), '[%c"\\\x80-\xFF]', escape), "b"
  end
  state.left = state.left - #shown
  return format('["%s",%s,%d]', kind, json.encode(shown), #text)
end

local function show_number(value)
  if mathtype(value) == "integer" then return format("%d", value) end
  if value ~= value then return "nan" end
  local short
  for digits = 15, 17 do
    short = format("%." .. digits .. "g", value)
    if tonumber(short) == value then break end
  end
  return find(short, "[^%d-]") and short or short .. ".0"
end

local function show_function(value)
  local info = getinfo(value, "S")
  if info.what == "C" or info.source == HOST_SOURCE then return "function (built in)" end
  return format("function (%s:%d)", sub(info.source, 2, 61), info.linedefined)
end

local scalars = {
  ["nil"] = function() return "nil" end,
  number = show_number,
  boolean = tostring,
  ["function"] = show_function,
  thread = function() return "coroutine" end,
  userdata = function() return "userdata" end,
}

local function scalar(kind, text)
  return format('["v","%s",%s]', kind, json.encode(utf8len(text) and text or gsub(text, "[\x80-\xFF]", escape)))
end

local RANK = { number = 1, string = 2, boolean = 3 }

local function before(a, b)
  local kind_a, kind_b = type(a), type(b)
  if kind_a == kind_b and (kind_a == "number" or kind_a == "string") then return a < b end
  return (RANK[kind_a] or 4) < (RANK[kind_b] or 4)
end

-- How long the list part is, the other keys in order, and how many entries there are: a list with holes is none.
local function parts_of(t)
  local length, dense, total = rawlen(t), 0, 0
  for key in next, t do
    total = total + 1
    if mathtype(key) == "integer" and key >= 1 and key <= length then dense = dense + 1 end
  end
  if dense ~= length then length = 0 end
  local keys, n = {}, 0
  for key in next, t do
    if not (mathtype(key) == "integer" and key >= 1 and key <= length) then
      n = n + 1
      keys[n] = key
      if n == KEYS_SORTED_MAX then break end
    end
  end
  sort(keys, before)
  return length, keys, total
end

local show_value

local function show_table(value, state, depth)
  local t, meta = raw(value) or value, getmetatable(value)
  if state.open[t] then return scalar("cycle", "(contains itself)") end
  if depth > DEPTH_MAX then return scalar("table", "{...}") end
  local label = meta and not raw(value) and rawget(meta, "__name")
  if type(label) ~= "string" or label == "array" or not utf8len(label) then label = "" end
  state.open[t] = true
  local length, keys, total = parts_of(t)
  local items, fields, shown = {}, {}, 0
  for i = 1, length do
    if shown == ENTRIES_MAX or state.nodes <= 0 then break end
    items[i], shown = show_value(rawget(t, i), state, depth + 1, TEXT_MAX), shown + 1
  end
  for i = 1, #keys do
    if shown == ENTRIES_MAX or state.nodes <= 0 then break end
    state.nodes = state.nodes + 1
    local key = show_value(keys[i], state, DEPTH_MAX + 1, TEXT_MAX)
    fields[i], shown = "[" .. key .. "," .. show_value(rawget(t, keys[i]), state, depth + 1, TEXT_MAX) .. "]", shown + 1
  end
  state.open[t] = nil
  return format('["t",[%s],[%s],%d,%s]', concat(items, ","), concat(fields, ","), total - shown, json.encode(cut(label, LABEL_MAX)))
end

function show_value(value, state, depth, limit)
  state.nodes = state.nodes - 1
  if rawequal(value, json.null) then return scalar("null", "json.null") end
  local kind = type(value)
  if kind == "string" then return show_text(value, state, limit) end
  if kind == "table" then return show_table(value, state, depth) end
  return scalar(kind, scalars[kind](value))
end

return function(value)
  return show_value(value, { nodes = NODES_MAX, left = TEXTS_MAX, open = {} }, 1, TOP_TEXT_MAX)
end
