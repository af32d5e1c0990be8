-- expect: ok "true"
local first = request.remaining_ms()
local last = first
while last == first do last = request.remaining_ms() end
return math.type(first) == "integer" and last < first and last >= 0
