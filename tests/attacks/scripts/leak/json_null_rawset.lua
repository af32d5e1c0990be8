-- expect: ok
rawset(json.null, "leaked", 1)
json.null = nil
return "x"
