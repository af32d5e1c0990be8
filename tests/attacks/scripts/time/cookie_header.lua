-- expect: time_limit_exceeded|ok
request.headers.cookie = ("a"):rep(2000000)
return request.cookies
