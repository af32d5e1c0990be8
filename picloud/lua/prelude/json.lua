-- JSON (RFC 8259) for scripts and for values that cross the bridge: only strings cross, so the limits of the run hold here too.
-- Given: fail(code, message), which raises an error object; what gives the table behind a read-only one; what makes one.
-- Returns the codec.
local fail, raw, seal = ...

local byte, char, find, format, gsub, sub = string.byte, string.char, string.find, string.format, string.gsub, string.sub
local concat, sort = table.concat, table.sort
local codepoint, utf8len = utf8.char, utf8.len
local mathtype, huge = math.type, math.huge
local tonumber, tostring, type, next, rawlen, rawget = tonumber, tostring, type, next, rawlen, rawget
local setmetatable, getmetatable = setmetatable, debug.getmetatable

local DEPTH_MAX = 100
local BOM = "\xEF\xBB\xBF"
local null = seal({ __tostring = function() return "null" end, __name = "null" })
local array_mark = { __name = "array", __metatable = "array" }

local codec = { null = null }

function codec.array(items)
  if items == nil then items = {} end
  if type(items) ~= "table" then fail("invalid_value", "json.array: expected a table, got " .. type(items)) end
  if getmetatable(items) ~= nil and getmetatable(items) ~= array_mark then
    fail("invalid_value", "json.array: the table has a metatable already")
  end
  return setmetatable(items, array_mark)
end

-- encode ---------------------------------------------------------------------------------------------------------

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }
for code = 0, 31 do
  local c = char(code)
  ESCAPES[c] = ESCAPES[c] or format("\\u%04x", code)
end

-- Where a value is: the keys that lead to it, of which the first `depth` count.
local function where(trail, depth)
  local parts, size = {}, 0
  for i = 1, depth do
    local key = trail[i]
    local part = mathtype(key) and "[" .. key .. "]" or (i == 1 and "" or ".") .. sub(key, 1, 200)
    parts[i], size = part, size + #part
    if size > 200 then break end
  end
  local path = sub(concat(parts), 1, 200)
  if not utf8len(path) then path = gsub(path, "[\x80-\xFF]", "?") end
  return depth == 0 and "the value" or "the value at " .. path
end

local function quote(s, trail, depth)
  if not utf8len(s) then
    fail("invalid_value", where(trail, depth) .. " is not UTF-8 text: encode binary data (for example as hex) first")
  end
  if find(s, '[%c"\\]') then s = gsub(s, '[\0-\31"\\]', ESCAPES) end
  return '"' .. s .. '"'
end

local encode_value

local function encode_number(v, trail, depth)
  if mathtype(v) == "integer" then return format("%d", v) end
  if v ~= v or v == huge or v == -huge then
    fail("invalid_value", where(trail, depth) .. " is " .. tostring(v) .. ": JSON has no such number")
  end
  local text = format("%.17g", v)
  local short = format("%.15g", v)
  if tonumber(short) == v then text = short end
  if not find(text, "[.e]") then text = text .. ".0" end
  return text
end

local function encode_array(t, n, out, trail, depth, indent)
  if n == 0 then out[#out + 1] = "[]" return end
  local gap = indent and "\n" .. indent .. "  "
  out[#out + 1] = gap and "[" .. gap or "["
  for i = 1, n do
    if i > 1 then out[#out + 1] = gap and "," .. gap or "," end
    local item = rawget(t, i)
    trail[depth + 1] = i
    encode_value(item == nil and null or item, out, trail, depth + 1, indent and indent .. "  ")
  end
  out[#out + 1] = indent and "\n" .. indent .. "]" or "]"
end

local function encode_object(t, out, trail, depth, indent)
  local keys, n = {}, 0
  for key in next, t do
    if type(key) ~= "string" then
      fail("invalid_value", where(trail, depth) .. " mixes keys: a JSON object has string keys only, an array the keys 1 to n")
    end
    n = n + 1
    keys[n] = key
  end
  sort(keys, n > 20000 and function(a, b) return a < b end or nil)
  local gap = indent and "\n" .. indent .. "  "
  out[#out + 1] = gap and "{" .. gap or "{"
  for i = 1, n do
    local key = keys[i]
    trail[depth + 1] = key
    out[#out + 1] = (i > 1 and (gap and "," .. gap or ",") or "") .. quote(key, trail, depth + 1) .. (indent and ": " or ":")
    encode_value(rawget(t, key), out, trail, depth + 1, indent and indent .. "  ")
  end
  out[#out + 1] = indent and "\n" .. indent .. "}" or "}"
end

local function encode_table(t, out, trail, depth, indent)
  if depth >= DEPTH_MAX then
    fail("invalid_value", where(trail, depth) .. " is nested more than " .. DEPTH_MAX .. " levels deep, or contains itself")
  end
  local meta = getmetatable(t)
  if meta and meta ~= array_mark then t = raw(t) or t end
  local n = rawlen(t)
  if meta == array_mark then
    for key in next, t do
      if mathtype(key) ~= "integer" or key < 1 or key > n then
        fail("invalid_value", where(trail, depth) .. " is an array with the key " .. sub(tostring(key), 1, 40))
      end
    end
    return encode_array(t, n, out, trail, depth, indent)
  end
  if next(t) == nil then out[#out + 1] = "{}" return end
  if n == 0 then return encode_object(t, out, trail, depth, indent) end
  local count = 0
  for _ in next, t do count = count + 1 end
  if count ~= n then
    fail("invalid_value", where(trail, depth) .. " has holes or mixes keys: use json.null for gaps, and either 1 to n or strings as keys")
  end
  return encode_array(t, n, out, trail, depth, indent)
end

function encode_value(v, out, trail, depth, indent)
  local kind = type(v)
  if kind == "string" then out[#out + 1] = quote(v, trail, depth)
  elseif kind == "number" then out[#out + 1] = encode_number(v, trail, depth)
  elseif kind == "boolean" then out[#out + 1] = v and "true" or "false"
  elseif v == nil or v == null then out[#out + 1] = "null"
  elseif kind == "table" then encode_table(v, out, trail, depth, indent)
  else fail("invalid_value", where(trail, depth) .. " is a " .. kind .. ", which JSON cannot hold") end
end

function codec.encode(v)
  local out = {}
  encode_value(v, out, {}, 0, nil)
  return concat(out)
end

function codec.pretty(v)
  local out = {}
  encode_value(v, out, {}, 0, "")
  return concat(out)
end

-- decode ---------------------------------------------------------------------------------------------------------

local UNESCAPES = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function bad(at, message)
  fail("invalid_json", "not valid JSON at byte " .. at .. ": " .. message)
end

local function decode_escape(s, at)
  local c = sub(s, at + 1, at + 1)
  local plain = UNESCAPES[c]
  if plain then return plain, at + 2 end
  local hex = c == "u" and sub(s, at + 2, at + 5)
  if not hex or not find(hex, "^%x%x%x%x$") then bad(at, "unknown escape") end
  local code = tonumber(hex, 16)
  if code < 0xD800 or code > 0xDFFF then return codepoint(code), at + 6 end
  local low = code < 0xDC00 and find(s, "^\\u[dD][c-fC-F]%x%x", at + 6) and tonumber(sub(s, at + 8, at + 11), 16)
  if not low then bad(at, "half of a surrogate pair") end
  return codepoint(0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00)), at + 12
end

local function decode_string(s, at) -- at: the opening quote
  local stop = find(s, '["\\\0-\31]', at + 1)
  if stop and byte(s, stop) == 34 then return sub(s, at + 1, stop - 1), stop + 1 end
  local parts, n, from = {}, 0, at + 1
  while true do
    if not stop then bad(at, "the string does not end") end
    n = n + 1
    parts[n] = sub(s, from, stop - 1)
    local c = byte(s, stop)
    if c == 34 then return concat(parts), stop + 1 end
    if c ~= 92 then bad(stop, "control character in a string") end
    n = n + 1
    parts[n], from = decode_escape(s, stop)
    stop = find(s, '["\\\0-\31]', from)
  end
end

local function decode_number(s, at)
  local _, stop = find(s, "^-?%d+", at)
  if not stop then bad(at, "unexpected character") end
  if find(s, "^-?0%d", at) then bad(at, "a number with a leading zero") end
  local _, fraction = find(s, "^%.%d+", stop + 1)
  local _, exponent = find(s, "^[eE][+-]?%d+", (fraction or stop) + 1)
  local last = exponent or fraction or stop
  if find(s, "^[%w.]", last + 1) then bad(last + 1, "unexpected character in a number") end
  local number = tonumber(sub(s, at, last))
  if number == huge or number == -huge then bad(at, "a number beyond the range of floats") end
  return number, last + 1
end

local decode_value

local function skip(s, at)
  local c = byte(s, at)
  if c == 32 or c == 10 or c == 13 or c == 9 then return find(s, "[^ \n\r\t]", at) or #s + 1 end
  return at
end

local function decode_array(s, at, depth)
  local t, n = {}, 0
  at = skip(s, at + 1)
  if byte(s, at) == 93 then return setmetatable(t, array_mark), at + 1 end
  while true do
    n = n + 1
    t[n], at = decode_value(s, at, depth)
    at = skip(s, at)
    local c = byte(s, at)
    if c == 93 then return t, at + 1 end
    if c ~= 44 then bad(at, "expected ',' or ']'") end
    at = skip(s, at + 1)
  end
end

local function decode_object(s, at, depth)
  local t, key = {}, nil
  at = skip(s, at + 1)
  if byte(s, at) == 125 then return t, at + 1 end
  while true do
    if byte(s, at) ~= 34 then bad(at, "expected a string as key") end
    key, at = decode_string(s, at)
    at = skip(s, at)
    if byte(s, at) ~= 58 then bad(at, "expected ':'") end
    t[key], at = decode_value(s, skip(s, at + 1), depth)
    at = skip(s, at)
    local c = byte(s, at)
    if c == 125 then return t, at + 1 end
    if c ~= 44 then bad(at, "expected ',' or '}'") end
    at = skip(s, at + 1)
  end
end

function decode_value(s, at, depth)
  local c = byte(s, at)
  if c == 34 then return decode_string(s, at) end
  if c == 123 or c == 91 then
    if depth > DEPTH_MAX then bad(at, "nested more than " .. DEPTH_MAX .. " levels deep") end
    return (c == 123 and decode_object or decode_array)(s, at, depth + 1)
  end
  if c == 116 and sub(s, at, at + 3) == "true" then return true, at + 4 end
  if c == 102 and sub(s, at, at + 4) == "false" then return false, at + 5 end
  if c == 110 and sub(s, at, at + 3) == "null" then return null, at + 4 end
  if c == nil then bad(at, "unexpected end") end
  return decode_number(s, at)
end

function codec.decode(s)
  if type(s) ~= "string" then fail("invalid_value", "json.decode: expected a string, got " .. type(s)) end
  local _, wrong = utf8len(s)
  if wrong then bad(wrong, "not UTF-8") end
  if sub(s, 1, 3) == BOM then bad(1, "a byte order mark") end
  local value, at = decode_value(s, skip(s, 1), 1)
  at = skip(s, at)
  if at <= #s then bad(at, "something follows the value") end
  return value
end

return codec
