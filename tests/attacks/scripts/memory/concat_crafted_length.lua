-- expect: memory_limit_exceeded
return table.concat(setmetatable({},{__len=function() return 1<<50 end,__index=function() return '' end}))
