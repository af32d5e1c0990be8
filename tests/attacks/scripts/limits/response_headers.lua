-- expect: invalid_response memory 64
return "x", 200, { ["x-a"] = ("x"):rep(1 << 20) }
