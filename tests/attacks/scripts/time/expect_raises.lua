-- expect: time_limit_exceeded as test
while true do expect(function() while true do end end):raises() end
