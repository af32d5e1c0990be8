-- expect: script_runtime_error
table.sort(setmetatable({},{__len=function() return (1<<31)-10 end}), rawequal)
