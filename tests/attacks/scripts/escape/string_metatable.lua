-- expect: script_runtime_error
setmetatable("", { __index = {} })
