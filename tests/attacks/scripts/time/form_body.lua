-- expect: ok
request.headers["content-type"] = "application/x-www-form-urlencoded"
request.body = ("%a"):rep(500000)
return type(request.form)
