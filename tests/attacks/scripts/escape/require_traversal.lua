-- expect: module_not_found
return _G["require"]("../../victim/greet")
