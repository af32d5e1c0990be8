-- expect: invalid_response
return 'x',200,{[('a'):rep(1000)]=setmetatable({},{__len=function() return 1<<50 end, __index=function() return 'x' end})}
