-- expect: ok
string.rep = function() return "hacked" end
string.upper, string.leaked = nil, true
table.concat, table.leaked = nil, 1
math.type, math.leaked = nil, 1
tostring, select, pcall = nil, nil, nil
coroutine.wrap, coroutine.leaked = nil, 1
return "x"
