-- expect: memory_limit_exceeded|time_limit_exceeded
local t = { 1 } for _ = 1, 60 do t = { t, t } end
return json.encode(t)
