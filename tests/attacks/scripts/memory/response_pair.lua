-- expect: ok|memory_limit_exceeded
return response.json({ a = ("x"):rep(2500000) })
