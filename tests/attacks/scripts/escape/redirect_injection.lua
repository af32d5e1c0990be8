-- expect: invalid_response
return response.redirect("/x\r\nSet-Cookie: a=b")
