-- expect: invalid_response
local r = response.bytes("x") r.kind = {} return r
