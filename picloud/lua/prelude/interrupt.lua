-- Stopping a run from inside: the error no script may catch, the function of the main thread's hook, and the look at that
-- hook which everything makes that the hook itself cannot reach: coroutines, and calls in C that take long.
local error, setmetatable, gethook, sethook = error, setmetatable, debug.gethook, debug.sethook
local main = coroutine.running()

local LIMIT = setmetatable({}, { __name = "limit", __metatable = false, __tostring = function() return "a limit of the run" end })

local function trip() error(LIMIT, 0) end

local function watch()
  local _, _, count = gethook(main)
  if count == 1 then
    sethook(trip, "", 1) -- of the coroutine that runs now
    error(LIMIT, 0)
  end
end

return LIMIT, trip, watch
