-- expect: invalid_response
return response.bytes("x", "text/html\r\nSet-Cookie: a=b")
