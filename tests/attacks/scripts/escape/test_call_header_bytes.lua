-- expect: ok as test
local r = call("GET", "/\xff\xfe", { headers = { ["x-a"] = "\xff" } })
expect(r.status):equals(404)
