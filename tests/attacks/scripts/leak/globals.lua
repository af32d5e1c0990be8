-- expect: ok
leaked = true _G.leaked = true _ENV.leaked = true rawset(_G, "leaked", true)
load("leaked = true")()
return "x"
