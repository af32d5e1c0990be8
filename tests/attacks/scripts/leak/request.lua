-- expect: ok
request.cookies.a = "hacked"
rawset(request, "leaked", 1)
return "x"
