-- Lua patterns without surprises: Lua's own C matcher while its worst case is short; where it is not, one call of it for each
-- place a match may begin; where even that is long, the same matching written in Lua. A deadline can interrupt the latter two.
-- Given: watch, which raises past the deadline. Returns find, match, gmatch, gsub.
local watch = ...
local byte, char, find, gmatch, gsub, match, sub = string.byte, string.char, string.find, string.gmatch, string.gsub, string.match, string.sub
local error, type, tostring, ipairs = error, type, tostring, ipairs
local tointeger, max, concat, unpack = math.tointeger, math.max, table.concat, table.unpack

local STEPS_MAX = 10000000 -- basic steps one call in C may take: about 30 ms
local ITEM_LENGTH = 32 -- bytes of pattern that count as one step: a long class is read anew for each character
local CACHE_MAX = 200
local CACHED_LENGTH_MAX = 200 -- of a pattern: what is kept outlives the run
local WATCHED_STEPS = 100000 -- from which a call in C is worth a look at the deadline

-- Parsing: a pattern is a list of items. What a single-character class matches is asked of the C matcher, so it is the same.

local sets, set_count = {}, 0

local function set_of(text)
  local set = sets[text]
  if set then return set end
  set = {}
  for code = 0, 255 do set[code] = find(char(code), "^" .. text) ~= nil end
  if #text > CACHED_LENGTH_MAX then return set end
  if set_count >= CACHE_MAX then sets, set_count = {}, 0 end
  sets[text], set_count = set, set_count + 1
  return set
end

local function class_end(p, at)
  local c = sub(p, at, at)
  if c == "%" then
    if at == #p then error("malformed pattern (ends with '%')", 0) end
    return at + 2
  end
  if c ~= "[" then return at + 1 end
  at = at + (sub(p, at + 1, at + 1) == "^" and 2 or 1)
  repeat
    if at > #p then error("malformed pattern (missing ']')", 0) end
    at = at + (sub(p, at, at) == "%" and 2 or 1)
  until sub(p, at, at) == "]"
  return at + 1
end

-- The class of the character every match begins with, nil when there is none.
local function lead_of(items)
  for _, item in ipairs(items) do
    local kind = item.kind
    if kind == "set" or kind == "+" then return item.text end
    if kind ~= "open" and kind ~= "position" then return nil end
  end
end

local function parse(p)
  local items, at, retries = {}, 1, 0
  local anchored = sub(p, 1, 1) == "^"
  if anchored then at = 2 end
  local opened, level = {}, 0
  while at <= #p do
    local c, two = sub(p, at, at), sub(p, at, at + 1)
    local item
    if two == "()" then
      level = level + 1
      item, at = { kind = "position", capture = level }, at + 2
    elseif c == "(" then
      level = level + 1
      opened[#opened + 1] = level
      item, at = { kind = "open", capture = level }, at + 1
    elseif c == ")" then
      if #opened == 0 then error("invalid pattern capture", 0) end
      item, at = { kind = "close", capture = opened[#opened] }, at + 1
      opened[#opened] = nil
    elseif c == "$" and at == #p then
      item, at = { kind = "end" }, at + 1
    elseif two == "%b" then
      if at + 3 > #p then error("malformed pattern (missing arguments to '%b')", 0) end
      item, at, retries = { kind = "balance", first = byte(p, at + 2), last = byte(p, at + 3) }, at + 4, retries + 1
    elseif two == "%f" then
      if sub(p, at + 2, at + 2) ~= "[" then error("missing '[' after '%f' in pattern", 0) end
      local stop = class_end(p, at + 2)
      item, at = { kind = "frontier", set = set_of(sub(p, at + 2, stop - 1)) }, stop
    elseif find(two, "^%%%d") then
      item, at, retries = { kind = "back", capture = byte(two, 2) - 48 }, at + 2, retries + 1 -- it compares up to the whole text
      if item.capture == 0 or item.capture > level then error("invalid capture index %" .. item.capture, 0) end
    else
      local stop = class_end(p, at)
      local text = sub(p, at, stop - 1)
      if text == "^" or text == "$" or text == "*" or text == "+" or text == "-" or text == "?" then text = "%" .. text end
      item = { kind = "set", set = set_of(text), text = text }
      local q = sub(p, stop, stop)
      if q == "*" or q == "+" or q == "-" or q == "?" then
        item.kind, stop = q, stop + 1
        if q == "?" then retries = retries + 0.25
        elseif q == "-" or stop <= #p then retries = retries + 1 end -- at the end of a pattern a greedy one never retries
      end
      at = stop
    end
    items[#items + 1] = item
  end
  if #opened > 0 then error("unfinished capture", 0) end
  if level > 32 then error("too many captures", 0) end
  return {
    items = items, anchored = anchored, captures = level, retries = retries,
    here = anchored and p or "^" .. p, lead = not anchored and lead_of(items),
  }
end

local patterns, pattern_count = {}, 0

local function parsed(p)
  local known = patterns[p]
  if known then return known end
  known = parse(p)
  if #p > CACHED_LENGTH_MAX then return known end
  if pattern_count >= CACHE_MAX then patterns, pattern_count = {}, 0 end
  patterns[p], pattern_count = known, pattern_count + 1
  return known
end

-- Matching. starts[n] and stops[n] are of capture n; stops[n] is false for a position capture.

local function match_from(items, s, k, i, starts, stops)
  local n = #s
  while true do
    local item = items[k]
    if not item then return i end
    local kind = item.kind
    if kind == "set" then
      if i > n or not item.set[byte(s, i)] then return nil end
      i = i + 1
    elseif kind == "*" or kind == "+" then
      local set, last = item.set, i
      while last <= n and set[byte(s, last)] do last = last + 1 end
      for j = last, i + (kind == "+" and 1 or 0), -1 do
        local stop = match_from(items, s, k + 1, j, starts, stops)
        if stop then return stop end
      end
      return nil
    elseif kind == "-" then
      local set = item.set
      while true do
        local stop = match_from(items, s, k + 1, i, starts, stops)
        if stop then return stop end
        if i > n or not set[byte(s, i)] then return nil end
        i = i + 1
      end
    elseif kind == "?" then
      if i <= n and item.set[byte(s, i)] then
        local stop = match_from(items, s, k + 1, i + 1, starts, stops)
        if stop then return stop end
      end
    elseif kind == "open" then
      local capture = item.capture
      starts[capture] = i
    elseif kind == "position" then
      starts[item.capture], stops[item.capture] = i, false
    elseif kind == "close" then
      local capture = item.capture
      local before = stops[capture]
      stops[capture] = i
      local stop = match_from(items, s, k + 1, i, starts, stops)
      if not stop then stops[capture] = before end
      return stop
    elseif kind == "end" then
      if i ~= n + 1 then return nil end
    elseif kind == "balance" then
      if byte(s, i) ~= item.first then return nil end
      local depth, at = 1, i + 1
      while true do
        if at > n then return nil end
        local c = byte(s, at)
        at = at + 1
        if c == item.last then
          depth = depth - 1
          if depth == 0 then break end
        elseif c == item.first then
          depth = depth + 1
        end
      end
      i = at
    elseif kind == "frontier" then
      local set = item.set
      if set[i > 1 and byte(s, i - 1) or 0] or not set[i <= n and byte(s, i) or 0] then return nil end
    else -- back reference
      local start, stop = starts[item.capture], stops[item.capture]
      if not stop then error("invalid capture index %" .. item.capture, 0) end
      local text = sub(s, start, stop - 1)
      if sub(s, i, i + #text - 1) ~= text then return nil end
      i = i + #text
    end
    k = k + 1
  end
end

-- Both matchers: given a pattern, a text and a place, they return where a match that begins there stops (exclusive) and its
-- captures, or nil.

local function match_in_lua(p, s, i)
  local starts, stops = {}, {}
  local stop = match_from(p.items, s, 1, i, starts, stops)
  if not stop then return nil end
  if p.captures == 0 then return stop, { sub(s, i, stop - 1) } end
  local values = {}
  for n = 1, p.captures do
    values[n] = stops[n] and sub(s, starts[n], stops[n] - 1) or starts[n]
  end
  return stop, values
end

local function captured(p, s, first, last, ...)
  if not first then return nil end
  return last + 1, p.captures == 0 and { sub(s, first, last) } or { ... }
end

local function match_in_c(p, s, i)
  return captured(p, s, find(s, p.here, i))
end

local function match_in_c_watched(p, s, i)
  watch()
  return match_in_c(p, s, i)
end

local function matcher(p, s)
  local cost = (#s + 1) ^ max(1, p.retries) * max(1, #p.here / ITEM_LENGTH)
  if cost > STEPS_MAX then return match_in_lua end
  return cost > WATCHED_STEPS and match_in_c_watched or match_in_c
end

-- The next place from i on where a match may begin, nil where there is none.
local function place(p, s, i, in_lua)
  if i > #s + 1 then return nil end
  if not p.lead or in_lua then return i end
  return (find(s, p.lead, i))
end

-- First match at or after i that does not stop at `last`: first, stop (exclusive), captures.
local function search(p, s, i, match_at, last)
  local in_lua = match_at == match_in_lua
  local first = place(p, s, i, in_lua)
  while first do
    local stop, values = match_at(p, s, first)
    if stop and stop ~= last then return first, stop, values end
    first = not p.anchored and place(p, s, first + 1, in_lua)
  end
end

-- Whether C may do it. A pattern C would refuse is given to C, for its message.
local function quick(s, p)
  if type(s) ~= "string" or type(p) ~= "string" then return true end
  local n, cost = #s, nil
  if not find(p, "[%^$*+?.()[%]%%-]") then
    cost = n * #p
  else
    local known = parsed(p)
    local exponent = known.retries + (known.anchored and 0 or 1)
    cost = exponent > 1 and (n + 1) ^ exponent * max(1, #p / ITEM_LENGTH) or n * #p
  end
  if cost > WATCHED_STEPS then watch() end
  return cost <= STEPS_MAX
end

local function text_of(value) -- numbers are text here
  return type(value) == "number" and tostring(value) or value
end

local function start_of(s, init)
  init = init == nil and 1 or tointeger(init)
  if not init then return nil end
  if init < 0 then init = #s + init + 1 end
  return init < 1 and 1 or init
end

-- A plain search whose text and needle are both long.
local function find_plain(s, text, init)
  local head = sub(text, 1, 16)
  while true do
    local at = find(s, head, init, true)
    if not at then return nil end
    if sub(s, at, at + #text - 1) == text then return at, at + #text - 1 end
    init = at + 1
  end
end

local function safe_find(s, p, init, plain)
  s, p = text_of(s), text_of(p)
  local literal = plain or (type(p) == "string" and not find(p, "[%^$*+?.()[%]%%-]"))
  if literal then
    if type(s) ~= "string" or type(p) ~= "string" or #s * #p <= STEPS_MAX or #p <= 16 then
      if type(s) == "string" and #s > WATCHED_STEPS then watch() end
      return find(s, p, init, plain)
    end
    local at = start_of(s, init)
    if not at then return find(s, p, init, plain) end
    return find_plain(s, p, at)
  end
  if quick(s, p) then return find(s, p, init) end
  local at = start_of(s, init)
  if not at then return find("", p, init) end
  if at > #s + 1 then return nil end
  local known = parsed(p)
  local first, stop, values = search(known, s, at, matcher(known, s))
  if not first then return nil end
  if known.captures == 0 then return first, stop - 1 end
  return first, stop - 1, unpack(values)
end

local function safe_match(s, p, init)
  s, p = text_of(s), text_of(p)
  if quick(s, p) then return match(s, p, init) end
  local at = start_of(s, init)
  if not at then return match("", p, init) end
  if at > #s + 1 then return nil end
  local known = parsed(p)
  local first, _, values = search(known, s, at, matcher(known, s))
  if not first then return nil end
  return unpack(values)
end

-- In gmatch and gsub an empty match right after the last match does not count, as in Lua 5.4.
local function safe_gmatch(s, p, init)
  s, p = text_of(s), text_of(p)
  if type(p) == "string" and sub(p, 1, 1) == "^" then p = "%" .. p end -- '^' is no anchor there
  if quick(s, p) then return gmatch(s, p, init) end
  local known = parsed(p)
  local at, last = start_of(s, init), nil
  if not at then return gmatch(s, "", init) end -- for its message
  local match_at = matcher(known, s)
  return function()
    local first, stop, values = search(known, s, at, match_at, last)
    if not first then
      at = #s + 2
      return nil
    end
    at, last = stop, stop
    return unpack(values)
  end
end

local function replaced(replacement, kind, whole, values)
  if kind == "string" then
    return (gsub(replacement, "%%(.?)", function(c)
      if c == "0" then return whole end
      if c == "%" then return "%" end
      local value = values[tointeger(c) or -1]
      if value == nil then error("invalid use of '%' in replacement string", 0) end
      return tostring(value)
    end))
  end
  local value
  if kind == "table" then value = replacement[values[1]] else value = replacement(unpack(values)) end
  if not value then return whole end
  if type(value) ~= "string" and type(value) ~= "number" then
    error("invalid replacement value (a " .. type(value) .. ")", 0)
  end
  return tostring(value)
end

local function safe_gsub(s, p, replacement, limit)
  s, p = text_of(s), text_of(p)
  local kind = type(replacement)
  if kind == "number" then replacement, kind = tostring(replacement), "string" end
  if quick(s, p) or (kind ~= "string" and kind ~= "table" and kind ~= "function") then return gsub(s, p, replacement, limit) end
  local known = parsed(p)
  local most = limit == nil and #s + 1 or tointeger(limit)
  if not most then return gsub("", p, replacement, limit) end
  local match_at = matcher(known, s)
  local out, count, at, last = {}, 0, 1, nil
  while count < most do
    local first, stop, values = search(known, s, at, match_at, last)
    if not first then break end
    count = count + 1
    out[#out + 1] = sub(s, at, first - 1)
    out[#out + 1] = replaced(replacement, kind, sub(s, first, stop - 1), values)
    at, last = stop, stop
    if known.anchored then break end
  end
  out[#out + 1] = sub(s, at)
  return concat(out), count
end

return safe_find, safe_match, safe_gmatch, safe_gsub
