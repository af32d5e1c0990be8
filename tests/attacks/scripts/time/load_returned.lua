-- expect: invalid_response
return load(string.rep('x=1 ',1e6))
