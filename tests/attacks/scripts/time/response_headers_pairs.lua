-- expect: ok
return 'x',200,setmetatable({},{__pairs=function() while true do end end})
