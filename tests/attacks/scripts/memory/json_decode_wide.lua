-- expect: memory_limit_exceeded
return json.decode(('['):rep(90)..('[],'):rep(1e6)..'1'..(']'):rep(90))
