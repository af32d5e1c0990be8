-- expect: script_runtime_error
rawset(getmetatable(""), "__index", {})
