-- expect: time_limit_exceeded|memory_limit_exceeded|script_runtime_error memory 64
while true do pcall(select, -1, table.unpack({}, 1, 500000)) end
