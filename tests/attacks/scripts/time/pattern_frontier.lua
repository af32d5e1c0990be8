-- expect: ok
return ('a'):rep(1e5):find('%f[b].-c')
