-- expect: invalid_response
return "x", 200, { ["x-a"] = "b\r\nSet-Cookie: c=d" }
