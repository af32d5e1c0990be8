-- expect: script_runtime_error as test
call({}, setmetatable({}, { __tostring = function() return "/" end }), { body = {} })
