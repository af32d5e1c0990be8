-- expect: script_runtime_error
return load('\27Lua', 'x', 'b')()
