-- expect: script_runtime_error
return table.unpack(setmetatable({},{__len=function() return 1e15//1|0 end}))
