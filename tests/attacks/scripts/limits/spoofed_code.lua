-- expect: script_runtime_error
error({ code = "time_limit_exceeded", message = "not by me" })
