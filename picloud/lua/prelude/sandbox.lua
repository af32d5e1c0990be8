-- The functions scripts get, made so that no call in C runs long and no error of a limit is caught.
-- Given: what interrupt.lua makes (the memory error is Lua's own string), what gives the table behind a read-only one, and
-- the pattern functions.
-- Returns new_environment() -> a table of fresh copies (nothing is shared between runs), and the function that copies a table.
local LIMIT, trip, watch, raw, find, match, gmatch, gsub = ...
local OUT_OF_MEMORY = "not enough memory"

local pcall, xpcall, error, load, select, type, next = pcall, xpcall, error, load, select, type, next
local tonumber, tostring = tonumber, tostring
local rawget, rawset, rawlen, rawequal, setmetatable = rawget, rawset, rawlen, rawequal, setmetatable
local getmetatable, sethook, getinfo = debug.getmetatable, debug.sethook, debug.getinfo
local create, resume, status, close, running = coroutine.create, coroutine.resume, coroutine.status, coroutine.close, coroutine.running
local rep, sub = string.rep, string.sub
local tointeger, max, maxinteger = math.tointeger, math.max, math.maxinteger

local SORT_MAX = 100000 -- numbers C may sort without calling back into Lua: about 30 ms
local SORT_OBJECT_MAX = 20000 -- items of an object that can be sorted at all
local SHIFT_MAX = 1000000 -- items one insert or remove in C may move; a crafted table has a length of 2^62
local SOURCE_MAX = 64 * 1024 -- what load takes: Lua's compiler is quadratic in places and has no hook
local LONG = 64 * 1024 -- bytes from which a call in C is worth a look at the deadline
local COROUTINE_STEPS = 250

local function uncatchable(e)
  return rawequal(e, LIMIT) or e == OUT_OF_MEMORY
end

local function pass(ok, ...)
  if not ok and uncatchable((...)) then error((...), 0) end
  return ok, ...
end

local function safe_pcall(...)
  if select("#", ...) == 0 then return pcall() end -- for its message
  return pass(pcall(...))
end

local function safe_xpcall(f, handler, ...)
  if type(handler) ~= "function" then return xpcall(f, handler) end -- for its message
  return pass(xpcall(f, function(e)
    if uncatchable(e) then return e end -- inside a hook no hook runs: the script's handler must not
    return handler(e)
  end, ...))
end

-- coroutines: each has a hook of its own, which looks whether the main one was tripped -----------------------------

local stopped = {} -- coroutines ended by a limit: closing them would run script code unwatched

local function safe_create(f)
  local co = create(f)
  sethook(co, watch, "", COROUTINE_STEPS)
  return co
end

local function after_resume(co, ok, ...)
  if not ok and uncatchable((...)) then
    stopped[co] = true
    error((...), 0)
  end
  return ok, ...
end

local function safe_resume(co, ...)
  watch() -- a tree of coroutines does much while none of them takes COROUTINE_STEPS
  return after_resume(co, resume(co, ...))
end

local function safe_close(co)
  if stopped[co] then error(LIMIT, 0) end
  return pass(close(co))
end

local function unwrap(co, ok, ...)
  if ok then return ... end
  local e = ...
  if status(co) == "dead" then
    local closed, other = safe_close(co)
    if not closed then e = other end -- the error of a __close takes the place of the first
  end
  error(e, type(e) == "string" and 2 or 0) -- with the position of the caller, as Lua does
end

local function safe_wrap(f)
  local co = safe_create(f)
  return function(...) return unwrap(co, safe_resume(co, ...)) end
end

-- metatables --------------------------------------------------------------------------------------------------------

local function safe_setmetatable(t, meta)
  local behind = raw(meta)
  if behind then -- Lua reads metatables past theirs, so a read-only one is taken as a copy
    meta = {}
    for key, value in next, behind do meta[key] = value end
  end
  if type(meta) == "table" and rawget(meta, "__gc") ~= nil then
    error("setmetatable: __gc is not available to scripts; use a local with <close>", 2)
  end
  return setmetatable(t, meta)
end

-- what goes past metatables sees a read-only table as it looks, and does not change it ------------------------------------

local function safe_next(t, ...)
  return next(raw(t) or t, ...)
end

local function safe_rawget(t, ...)
  return rawget(raw(t) or t, ...)
end

local function safe_rawlen(v)
  return rawlen(raw(v) or v)
end

local function safe_rawset(t, ...)
  if raw(t) then t[1] = nil end -- for its message
  return rawset(t, ...)
end

-- strings ---------------------------------------------------------------------------------------------------------

local function safe_rep(s, n, sep)
  local count = tonumber(n)
  if count and count > 1 then
    if s == "" and (sep == nil or sep == "") and count % 1 == 0 then n = 1
    elseif type(s) == "string" and #s * count > LONG then watch() end
  end
  return rep(s, n, sep)
end

-- The same function, which looks at the deadline before it reads a long string.
local function watched(f)
  return function(s, ...)
    if type(s) == "string" and #s > LONG then watch() end
    return f(s, ...)
  end
end

-- tables: plain tables are as large as the memory limit allows; objects with metamethods go the slow, watched way --------

local function is_object(t)
  return getmetatable(t) ~= nil and type(t) == "table"
end

local table_concat, table_insert, table_move, table_remove, table_sort, table_unpack =
  table.concat, table.insert, table.move, table.remove, table.sort, table.unpack

local function safe_concat(t, sep, i, j)
  if is_object(t) then
    local copy, n = {}, 0
    if i == nil then i = 1 end
    if j == nil then j = #t end
    i, j = tointeger(i), tointeger(j)
    if not (i and j) then return table_concat({}, sep, false) end -- for its message
    for k = i, j do n = n + 1 copy[n] = t[k] end
    return table_concat(copy, sep, 1, n)
  end
  return table_concat(t, sep, i, j)
end

local function safe_move(a, f, e, t, b)
  local target = b == nil and a or b
  local from, to, at = tointeger(f), tointeger(e), tointeger(t)
  if not (from and to and at) or (not is_object(a) and not is_object(target) and to - from < 100000 and to >= from) then
    return table_move(a, f, e, t, b)
  end
  if type(a) ~= "table" or type(target) ~= "table" then return table_move(a, 1, 0, 1, b) end
  if to < from then return target end
  if not (from > 0 or to < maxinteger + from) or at > maxinteger - (to - from) then return table_move({}, f, e, t) end
  if at > to or at <= from or not rawequal(a, target) then
    for i = 0, to - from do target[at + i] = a[from + i] end
  else
    for i = to - from, 0, -1 do target[at + i] = a[from + i] end
  end
  return target
end

local function safe_insert(t, ...)
  if type(t) ~= "table" or (not is_object(t) and (select("#", ...) == 1 or rawlen(t) <= SHIFT_MAX)) then return table_insert(t, ...) end
  local n = #t
  if select("#", ...) == 1 then t[n + 1] = (...) return end
  local at, value = ...
  at = tointeger(at)
  if select("#", ...) ~= 2 or not at or at < 1 or at > n + 1 then return table_insert({}, ...) end
  for i = n, at, -1 do t[i + 1] = t[i] end
  t[at] = value
end

local function safe_remove(t, ...)
  if type(t) ~= "table" or (not is_object(t) and (select("#", ...) == 0 or rawlen(t) <= SHIFT_MAX)) then return table_remove(t, ...) end
  local n = #t
  if (...) == nil then
    if n == 0 then return t[0] end
    local last = t[n]
    t[n] = nil
    return last
  end
  local at = tointeger((...))
  if not at or (n + 1 ~= at and (at < 1 or at > n + 1) and not (n == 0 and at == 0)) then return table_remove({}, 99) end
  local value = t[at]
  for i = at, n - 1 do t[i] = t[i + 1] end
  if at <= n then t[n] = nil end
  return value
end

local function less(a, b) return a < b end

-- What comparing two items costs at most, where two numbers are 1.
local function comparison_cost(t, n)
  local most = 1
  for i = 1, n do
    local item = rawget(t, i)
    if type(item) ~= "number" then most = max(most, 5, type(item) == "string" and #item // 8 or 0) end
  end
  return most
end

local function safe_sort(t, compare)
  if type(t) == "table" then
    local n = #t
    if type(compare) == "function" and getinfo(compare, "S").what == "C" then
      local native = compare
      compare = function(a, b) return native(a, b) end -- so that a hook sees every comparison
    elseif compare == nil and (n > SORT_MAX or is_object(t) or n * comparison_cost(t, n) > SORT_MAX) then
      compare = less
    end
    if n > SORT_OBJECT_MAX and is_object(t) then error("sort: copy an object of more than " .. SORT_OBJECT_MAX .. " items into a plain table first", 2) end
  end
  return table_sort(t, compare)
end

local function safe_unpack(t, i, j)
  if is_object(t) and j == nil then j = #t end
  return table_unpack(t, i, j)
end

-- the string metatable is shared by all strings of the state, so it holds safe functions only and cannot be reached ------

local string_functions = {
  byte = string.byte, char = string.char, find = find, format = string.format, gmatch = gmatch,
  gsub = gsub, len = string.len, lower = watched(string.lower), match = match, pack = string.pack,
  packsize = string.packsize, rep = safe_rep, reverse = watched(string.reverse), sub = string.sub, unpack = string.unpack,
  upper = watched(string.upper),
}
local string_meta = getmetatable("")
string_meta.__index = string_functions
string_meta.__metatable = false

local table_functions = {
  concat = safe_concat, insert = safe_insert, move = safe_move, pack = table.pack, remove = safe_remove,
  sort = safe_sort, unpack = safe_unpack,
}
local coroutine_functions = {
  close = safe_close, create = safe_create, isyieldable = coroutine.isyieldable, resume = safe_resume,
  running = running, status = status, wrap = safe_wrap, yield = coroutine.yield,
}
local math_functions, utf8_functions = {}, {}
for name, value in next, math do math_functions[name] = value end
for name, value in next, utf8 do utf8_functions[name] = value end
utf8_functions.len = watched(utf8.len)
local os_functions = { clock = os.clock, date = os.date, difftime = os.difftime, time = os.time }

local base_functions = {
  _VERSION = _VERSION, assert = assert, error = error, getmetatable = _G.getmetatable, ipairs = ipairs, next = safe_next,
  pairs = pairs, pcall = safe_pcall, rawequal = rawequal, rawget = safe_rawget, rawlen = safe_rawlen,
  rawset = safe_rawset,
  select = select, setmetatable = safe_setmetatable, tonumber = tonumber, tostring = tostring, type = type,
  xpcall = safe_xpcall,
}

local function copy(from)
  local to = {}
  for name, value in next, from do to[name] = value end
  return to
end

local function new_environment()
  local env = copy(base_functions)
  env.string, env.table, env.math = copy(string_functions), copy(table_functions), copy(math_functions)
  env.utf8, env.os, env.coroutine = copy(utf8_functions), copy(os_functions), copy(coroutine_functions)
  env._G = env
  env.load = function(chunk, name, mode, ...)
    if type(chunk) == "function" then
      local parts, size = {}, 0
      repeat
        local part = chunk()
        if part ~= nil and type(part) ~= "string" then return nil, "reader function must return a string" end
        size = size + #(part or "")
        parts[#parts + 1] = part
      until part == nil or part == "" or size > SOURCE_MAX
      chunk = table_concat(parts)
    end
    if type(chunk) ~= "string" then error("load: expected text or a function that returns it", 2) end
    if #chunk > SOURCE_MAX then return nil, "load: the text is longer than " .. SOURCE_MAX .. " bytes" end
    if mode ~= nil and not find(mode, "t", 1, true) then return nil, "load: only text can be loaded" end
    local target = env
    if select("#", ...) > 0 then target = ... end
    return load(chunk, "=" .. gsub(sub(tostring(name or "load"), 1, 60), "^[=@]", ""), "t", target)
  end
  return env
end

return new_environment, copy
