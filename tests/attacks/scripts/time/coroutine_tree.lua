-- expect: time_limit_exceeded
-- No coroutine takes many steps, all together take forever.
local create, resume = coroutine.create, coroutine.resume
local function f(d)
  if d > 0 then resume(create(f), d - 1) resume(create(f), d - 1) resume(create(f), d - 1) end
end
coroutine.wrap(f)(40)
