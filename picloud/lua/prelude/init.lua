-- Put the prelude together. Given: the raw host callback, a function that gives the other files compiled, the depth limit of imports.
-- Returns run(operation, ...) and the function the hook calls at a deadline.
local call_host, sources, DEPTH_MAX = ...
local OUT_OF_MEMORY = "not enough memory"
local error, setmetatable, tostring, rawget, select = error, setmetatable, tostring, rawget, select

local error_meta = {
  __name = "error",
  __metatable = false,
  __tostring = function(e) return tostring(rawget(e, "message")) end,
}

local function fail(code, message)
  error(setmetatable({ code = code, message = message }, error_meta), 2)
end

local LIMIT, trip, watch

local function check(ok, code, message, ...)
  if ok == true then return code, message, ... end
  if code == "memory" then error(OUT_OF_MEMORY, 0) end
  if code == "stop" then error(LIMIT, 0) end
  error(setmetatable({ code = code, message = message }, error_meta), 0)
end

local function host(operation, ...)
  return check(call_host(operation, ...))
end

local function part(name, ...)
  return assert(load(sources(name), "=picloud", "b"))(...)
end

LIMIT, trip, watch = part("interrupt")
local json = part("json", fail)
local new_environment, copy = part("sandbox", LIMIT, trip, watch, part("pattern", watch))
json.reset()
return part("run", host, new_environment, copy, json, fail, error_meta, LIMIT, DEPTH_MAX), trip
