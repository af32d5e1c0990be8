-- Put the prelude together. Given: the raw host callback, a function that gives the other files compiled, what makes the
-- namespaces of the SDK, compiled, the depth limit of imports, the most bytes of an answer; where the hook cannot be set from outside, what tells
-- whether it should be, and its count.
-- Returns run(operation, ...) and the function the hook calls at a deadline.
local call_host, sources, library, DEPTH_MAX, RESPONSE_MAX, is_tripped, count = ...
local OUT_OF_MEMORY, HOST_SOURCE = "not enough memory", "=picloud"
local error, assert, load, setmetatable, getmetatable, rawget, type = error, assert, load, setmetatable, debug.getmetatable, rawget, type

-- Error objects keep code and message also in a metatable of their own, which scripts cannot reach: they can raise such an
-- object again, but not change what PiCloud reads from it, nor make one.
local GENUINE = {}

-- `extra` is text for the host alone.
local function new_error(code, message, extra)
  local details = { code = code, message = message, extra = extra }
  local function text() return message end
  local meta = { __tostring = text, __name = "error", __metatable = false, [GENUINE] = details }
  return setmetatable({ code = code, message = message }, meta)
end

-- Returns the { code, message, extra } of an error object, nil for any other value.
local function details_of(e)
  local meta = type(e) == "table" and getmetatable(e)
  return meta and rawget(meta, GENUINE)
end

local function fail(code, message, extra)
  error(new_error(code, message, extra), 2)
end

local LIMIT, trip, watch

local function check(ok, ...)
  if ok == true then return ... end
  local code, message = ...
  if code == "memory" then error(OUT_OF_MEMORY, 0) end
  if code == "stop" then error(LIMIT, 0) end
  error(new_error(code, message), 0)
end

local function host(operation, ...)
  return check(call_host(operation, ...))
end

local function part(name, ...)
  return assert(load(sources(name), HOST_SOURCE, "b"))(...)
end

LIMIT, trip, watch = part("interrupt", is_tripped, count)
local freeze, raw, seal = part("frozen")
local json = part("json", fail, raw, seal)
local new_environment, copy = part("sandbox", LIMIT, trip, watch, raw, part("pattern", watch))
local namespaces = assert(load(library, HOST_SOURCE, "b"))(host, json.encode, json.decode, fail, raw, new_environment().pcall)
return part("run", host, new_environment, copy, freeze, raw, namespaces, json, fail, details_of, part("show", json, raw, HOST_SOURCE), HOST_SOURCE, LIMIT, DEPTH_MAX, RESPONSE_MAX), trip
