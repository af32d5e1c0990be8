-- expect: script_runtime_error|time_limit_exceeded|ok
local function handler(e) error(e) end
for _ = 1, 100 do xpcall(error, handler, "x") end
