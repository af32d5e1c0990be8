-- expect: script_runtime_error
local t={} t.t=t return t
