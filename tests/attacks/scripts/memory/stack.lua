-- expect: memory_limit_exceeded|script_runtime_error|time_limit_exceeded|time_limit_exceeded
local function f(...) return f(1, 2, 3, 4, 5, 6, 7, 8, ...) end
return f()
