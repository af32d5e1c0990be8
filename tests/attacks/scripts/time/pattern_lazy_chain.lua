-- expect: time_limit_exceeded
return (('a'):rep(40)):match(('a-'):rep(20)..'b')
