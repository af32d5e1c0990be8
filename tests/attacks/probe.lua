-- Runs after each attack on the same executor, mostly in the same state: everything must be as new.
local function fresh(condition, what) if not condition then error("not clean: " .. what, 0) end end
fresh(leaked == nil, "a global stayed")
fresh(("x"):rep(3) == "xxx" and ("abc"):upper() == "ABC" and #"abc" == 3, "string methods")
fresh(string.leaked == nil and ("").leaked == nil and table.leaked == nil and math.leaked == nil, "a library was changed")
fresh(table.concat({ 1, 2 }, ",") == "1,2" and math.type(1) == "integer" and tostring(nil) == "nil", "functions")
fresh(getmetatable("") == false, "the string metatable")
fresh(tostring(json.null) == "null" and json.leaked == nil and json.null.leaked == nil, "json")
fresh(json.encode({ a = { 1, json.null } }) == '{"a":[1,null]}', "json.encode")
fresh(response.leaked == nil and log.leaked == nil and coroutine.leaked == nil, "a namespace was changed")
fresh(require("greet").hello() == "hello" and require("greet").leaked == nil, "a module")
fresh(coroutine.wrap(function() return 7 end)() == 7, "coroutines")
fresh(pcall(error, "x") == false and select("#", pcall(function() return 1, 2 end)) == 3, "pcall")
fresh(request.cookies.a == "b" and request.leaked == nil, "the request")
local steps = 0
for _ = 1, 20000 do steps = steps + 1 end
return "clean"
