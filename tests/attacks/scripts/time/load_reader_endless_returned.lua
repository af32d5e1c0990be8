-- expect: invalid_response
return load(function() return 'x' end)
