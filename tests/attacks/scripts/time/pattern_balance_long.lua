-- expect: time_limit_exceeded
return ('('):rep(1e6):find('%b()')
