-- expect: ok
json.encode = function() return "hacked" end
json.leaked, response.leaked, log.leaked, request.leaked = 1, 1, 1, 1
response.json = nil
log.info = nil
return "x"
