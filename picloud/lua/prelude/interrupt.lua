-- Stopping a run from inside: the error no script may catch, the function of the main thread's hook, and the look at that
-- hook which everything makes that the hook itself cannot reach: coroutines, and calls in C that take long.
-- Given, where the hook cannot be set from outside: what tells whether the run is to stop, and how many instructions lie between
-- two calls of the hook, which then is always set.
local is_tripped, count = ...
local error, setmetatable, gethook, sethook = error, setmetatable, debug.gethook, debug.sethook
local main = coroutine.running()

local LIMIT = setmetatable({}, { __name = "limit", __metatable = false, __tostring = function() return "a limit of the run" end })

local function trip() error(LIMIT, 0) end

local function watch()
  local _, _, n = gethook(main)
  if n == 1 then
    sethook(trip, "", 1) -- of the coroutine that runs now
    error(LIMIT, 0)
  end
end

if not is_tripped then return LIMIT, trip, watch end

local function ask()
  if is_tripped() then
    sethook(ask, "", 1)
    error(LIMIT, 0)
  end
  local _, _, n = gethook()
  if n == 1 then sethook(ask, "", count) end -- a run before this one was stopped
end

return LIMIT, ask, ask
