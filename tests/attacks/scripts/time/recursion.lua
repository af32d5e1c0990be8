-- expect: script_runtime_error|memory_limit_exceeded
local function f() return 1 + f() end
return f()
