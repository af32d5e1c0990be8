-- expect: ok ""
return (""):rep(math.maxinteger)
