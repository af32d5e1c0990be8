-- expect: script_runtime_error
load("error('x')", "=picloud")()
