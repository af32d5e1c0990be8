-- expect: memory_limit_exceeded
return os.date(('%c'):rep(1e6))
