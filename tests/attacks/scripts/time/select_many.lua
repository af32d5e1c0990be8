-- expect: time_limit_exceeded
while true do select('#',table.unpack({},1,1e5)) end
