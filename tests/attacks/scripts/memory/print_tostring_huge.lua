-- expect: memory_limit_exceeded
print(setmetatable({},{__tostring=function() return ('x'):rep(1e7) end}))
