-- expect: invalid_response
-- So many headers made the server itself panic, and its worker die.
local headers = {}
for i = 1, 40000 do headers["x-" .. i] = "1" end
return "x", 200, headers
