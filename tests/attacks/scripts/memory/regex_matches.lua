-- expect: memory_limit_exceeded
local all = {}
for i = 1, 1000 do all[i] = regex.find_all("(a)(b)?()", ("a"):rep(2^16), { spans = true }) end
