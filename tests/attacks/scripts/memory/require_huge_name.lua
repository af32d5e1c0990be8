-- expect: module_not_found|memory_limit_exceeded
return require(("x"):rep(3000000))
