-- expect: module_not_found|memory_limit_exceeded
return _G["require"](("x"):rep(3000000))
