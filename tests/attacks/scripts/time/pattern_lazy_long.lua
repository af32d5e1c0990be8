-- expect: time_limit_exceeded
return ('a'):rep(1e5):find('.-b')
