-- expect: response_too_large memory 64 response 1
return "x", 200, { ["x-a"] = ("x"):rep(1 << 20) }
