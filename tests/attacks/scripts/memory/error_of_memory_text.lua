-- expect: script_runtime_error|memory_limit_exceeded
error("not enough memory", 0)
