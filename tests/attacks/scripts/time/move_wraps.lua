-- expect: script_runtime_error|time_limit_exceeded
table.move({}, math.mininteger, math.maxinteger, 1)
