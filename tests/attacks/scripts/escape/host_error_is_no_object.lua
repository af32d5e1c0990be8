-- expect: ok "passed" as test
-- An answer whose header is not UTF-8 comes back as text, never as an object of the host.
local ok, e = pcall(call, "GET", "/", { headers = { ["x-a"] = "\xff\xfe" } })
if type(e) == "userdata" then return "a host object" end
