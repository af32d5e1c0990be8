-- What makes tables of the positions that `regex.scan` finds; runs within the limits of the run, as scripts do.
-- Given by the binding: host, bad, known, fail.
local byte, find, gmatch, sub, unpack_string = string.byte, string.find, string.gmatch, string.sub, string.unpack
local mathtype, maxinteger, tonumber = math.type, math.maxinteger, tonumber

local FLAGS = { { "ignore_case", "i" }, { "multiline", "m" }, { "dot_all", "s" }, { "longest", "l" }, { "bytes", "b" } }

-- Returns the options, the flags among them as letters, and the option `max`.
local function arguments(name, pattern, text, options, own)
  if type(pattern) ~= "string" then bad(name, "pattern", "a string", pattern) end
  if type(text) ~= "string" then bad(name, "text", "a string", text) end
  local names, flags = {}, ""
  for i = 1, #own do names[own[i]] = true end
  for i = 1, #FLAGS do names[FLAGS[i][1]] = true end
  local o = known(name, options, names)
  for i = 1, #FLAGS do
    local value = o[FLAGS[i][1]]
    if value ~= nil and type(value) ~= "boolean" then bad(name, FLAGS[i][1], "a boolean", value) end
    if value then flags = flags .. FLAGS[i][2] end
  end
  local max = o.max
  if max == nil then max = maxinteger end
  if type(max) ~= "number" or not tointeger(max) then bad(name, "max", "an integer", max) end
  if max < 1 then fail("invalid_input", name .. ": max must be 1 or more") end
  return o, flags, tointeger(max)
end

local function names_of(text)
  local names = {}
  for number, name in gmatch(text, "(%d+) ([^\n]+)") do names[#names + 1] = { name, tointeger(tonumber(number)) } end
  return names
end

-- For the function `name`, calls visit(packed, at, groups, names) for the first `max` matches; start(groups, names) before.
local function each(name, pattern, text, flags, max, visit, start)
  local at, last, packed, groups, names, list = 0, -1, nil, nil, nil, nil
  repeat
    at, last, packed, groups, names = host("regex.scan", name, pattern, text, flags, at, last, max)
    if not list then
      list = names_of(names)
      if start then start(groups, list) end
    end
    local step = 8 * (groups + 1)
    for i = 1, #packed, step do visit(packed, i, groups, list) end
    max = max - #packed // step
  until at < 0 or max == 0
end

local function match_of(text, packed, at, groups, names, with_spans)
  local start, stop = unpack_string("=i4i4", packed, at)
  local all, named, spans = {}, {}, with_spans and {} or nil
  for group = 1, groups do
    local from, to = unpack_string("=i4i4", packed, at + 8 * group)
    all[group] = from >= 0 and sub(text, from + 1, to)
    if spans then spans[group] = from >= 0 and { start = from + 1, stop = to } end
  end
  for i = 1, #names do named[names[i][1]] = all[names[i][2]] or nil end
  return { text = sub(text, start + 1, stop), start = start + 1, stop = stop, groups = all, named = named, spans = spans }
end

local function boolean(name, o, option)
  if o[option] ~= nil and type(o[option]) ~= "boolean" then bad(name, option, "a boolean", o[option]) end
  return o[option]
end

local function match(pattern, text, options)
  local o, flags = arguments("regex.match", pattern, text, options, { "spans" })
  local spans, found = boolean("regex.match", o, "spans"), nil
  each("regex.match", pattern, text, flags, 1, function(packed, at, groups, names)
    found = match_of(text, packed, at, groups, names, spans)
  end)
  return found
end

local function find_all(pattern, text, options)
  local o, flags, max = arguments("regex.find_all", pattern, text, options, { "spans", "max" })
  local spans, list, n = boolean("regex.find_all", o, "spans"), {}, 0
  each("regex.find_all", pattern, text, flags, max, function(packed, at, groups, names)
    n = n + 1
    list[n] = match_of(text, packed, at, groups, names, spans)
  end)
  return list
end

local function split(pattern, text, options)
  local _, flags, max = arguments("regex.split", pattern, text, options, { "max" })
  local pieces, n, from, length = {}, 0, 1, #text
  each("regex.split", pattern, text, flags, max < maxinteger and max + 1 or max, function(packed, at)
    local start, stop = unpack_string("=i4i4", packed, at)
    if n == max or (start == stop and (start == 0 or start == length)) then return end
    n = n + 1
    pieces[n], from = sub(text, from, start), stop + 1
  end)
  pieces[n + 1] = sub(text, from)
  return pieces
end

-- Replacement texts: a list of texts and of numbers of groups.

local function group_of(reference, groups, names)
  local number = tointeger(tonumber(reference))
  if number and find(reference, "^%d+$") and number <= groups then return number end
  for i = 1, #names do
    if names[i][1] == reference then return names[i][2] end
  end
  fail("invalid_input", "regex.replace: the pattern has no group '" .. sub(reference, 1, 60) .. "'")
end

local function template_of(text, groups, names)
  local parts, from = {}, 1
  while true do
    local at = find(text, "%", from, true)
    if not at then break end
    parts[#parts + 1] = sub(text, from, at - 1)
    local c = byte(text, at + 1)
    if c == 37 then
      parts[#parts + 1], from = "%", at + 2
    elseif c and c >= 48 and c <= 57 then
      parts[#parts + 1], from = group_of(sub(text, at + 1, at + 1), groups, names), at + 2
    else
      local stop = c == 123 and find(text, "}", at + 2, true)
      if not stop then
        fail("invalid_input", "regex.replace: in the replacement '%' comes before a digit, {name} or another '%'")
      end
      parts[#parts + 1], from = group_of(sub(text, at + 2, stop - 1), groups, names), stop + 1
    end
  end
  parts[#parts + 1] = sub(text, from)
  return parts
end

local function expand(template, text, packed, at, out, n)
  for i = 1, #template do
    local part = template[i]
    if mathtype(part) then
      local from, to = unpack_string("=i4i4", packed, at + 8 * part)
      part = from >= 0 and sub(text, from + 1, to) or ""
    end
    n = n + 1
    out[n] = part
  end
  return n
end

local function made_by(replacement, text, packed, at, groups, names)
  local match = match_of(text, packed, at, groups, names)
  local made = replacement(match)
  if not made then return match.text end
  if type(made) ~= "string" and type(made) ~= "number" then
    fail("invalid_input", "regex.replace: the function must return a string, or nil to keep the text, got " .. type(made))
  end
  return made
end

local function replace(pattern, text, replacement, options)
  local _, flags, max = arguments("regex.replace", pattern, text, options, { "max" })
  local calls = type(replacement) == "function"
  if not calls and type(replacement) ~= "string" then
    bad("regex.replace", "replacement", "a string or a function", replacement)
  end
  local out, n, from, count, template = {}, 0, 1, 0, nil
  each("regex.replace", pattern, text, flags, max, function(packed, at, groups, names)
    local start, stop = unpack_string("=i4i4", packed, at)
    n = n + 1
    out[n] = sub(text, from, start)
    if calls then
      n = n + 1
      out[n] = made_by(replacement, text, packed, at, groups, names)
    else
      n = expand(template, text, packed, at, out, n)
    end
    from, count = stop + 1, count + 1
  end, function(groups, names)
    if not calls then template = template_of(replacement, groups, names) end
  end)
  out[n + 1] = sub(text, from)
  return concat(out), count
end
