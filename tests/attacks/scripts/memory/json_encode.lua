-- expect: memory_limit_exceeded
return json.encode({ ("x"):rep(3000000), ("y"):rep(3000000) })
