"""Hostile scripts: what each tries is its name; `expected` is the error code, or None for an answer.

The limits they run under are in `test_attacks.py`: 0.3 s and 8 MiB.
"""

from __future__ import annotations

from typing import NamedTuple


class Attack(NamedTuple):
    name: str
    expected: str | None
    source: str


ATTACKS = (
    Attack(
        "close in wrap",
        "time_limit_exceeded",
        "local c=coroutine.wrap(function() local x <close> =setmetatable({},{__close=function() while true do end end}) while true do end end) pcall(c) while true do end",
    ),
    Attack(
        "close main",
        "time_limit_exceeded",
        "local x <close> =setmetatable({},{__close=function() while true do end end}) while true do end",
    ),
    Attack(
        "close after error",
        "time_limit_exceeded",
        "pcall(function() local x <close> =setmetatable({},{__close=function() while true do end end}) error('x') end)",
    ),
    Attack(
        "nested co",
        "time_limit_exceeded",
        "local function f(n) if n==0 then while true do end end local c=coroutine.create(function() f(n-1) end) coroutine.resume(c) while true do end end f(20)",
    ),
    Attack(
        "co yield loop",
        "time_limit_exceeded",
        "local c=coroutine.wrap(function() while true do coroutine.yield() end end) while true do c() end",
    ),
    Attack(
        "co in pcall",
        "time_limit_exceeded",
        "local c=coroutine.create(function() while true do pcall(function() while true do end end) end end) while true do pcall(coroutine.resume,c) end",
    ),
    Attack(
        "close running",
        "time_limit_exceeded",
        "local c c=coroutine.create(function() coroutine.close(c) while true do end end) coroutine.resume(c) while true do end",
    ),
    Attack(
        "xpcall recursive",
        "time_limit_exceeded",
        "local function h(e) while true do end end while true do xpcall(error,h,'x') end",
    ),
    Attack(
        "xpcall nested",
        "time_limit_exceeded",
        "xpcall(function() xpcall(function() while true do end end, function() while true do end end) end, function() while true do end end)",
    ),
    Attack(
        "error in handler",
        "time_limit_exceeded",
        "xpcall(function() error('a') end, function(e) error(e) end) while true do end",
    ),
    Attack(
        "tostring",
        "time_limit_exceeded",
        "local t=setmetatable({},{__tostring=function() while true do end end}) return tostring(t)",
    ),
    Attack(
        "index chain",
        "time_limit_exceeded",
        "local t=setmetatable({},{__index=function(t,k) return t[k+1] end}) pcall(function() return t[1] end) while true do end",
    ),
    Attack(
        "eq/lt/concat",
        "time_limit_exceeded",
        "local m={} m.__eq=function() while true do end end local a,b=setmetatable({},m),setmetatable({},m) return a==b",
    ),
    Attack("len", "time_limit_exceeded", "return #setmetatable({},{__len=function() while true do end end})"),
    Attack(
        "unpack",
        "script_runtime_error",
        "return table.unpack(setmetatable({},{__len=function() return 1e15//1|0 end}))",
    ),
    Attack(
        "concat len",
        "memory_limit_exceeded",
        "return table.concat(setmetatable({},{__len=function() return 1<<50 end,__index=function() return '' end}))",
    ),
    Attack(
        "insert len", "time_limit_exceeded", "table.insert(setmetatable({},{__len=function() return 1<<50 end}),1,1)"
    ),
    Attack("remove len", "time_limit_exceeded", "table.remove(setmetatable({},{__len=function() return 1<<50 end}),1)"),
    Attack("move", "time_limit_exceeded", "table.move({},1,1<<60,2)"),
    Attack(
        "move2", "time_limit_exceeded", "table.move(setmetatable({},{__index=function() return nil end}),1,1<<60,2)"
    ),
    Attack(
        "sort",
        "script_runtime_error",
        "table.sort(setmetatable({},{__len=function() return (1<<31)-10 end}), rawequal)",
    ),
    Attack(
        "sort cmp",
        "time_limit_exceeded",
        "local t={} for i=1,1000 do t[i]=i end table.sort(t,function() while true do end end)",
    ),
    Attack("rep", None, "return (''):rep(1<<60)"),
    Attack("rep2", "script_runtime_error", "return ('x'):rep(1<<40)"),
    Attack("rep3", "memory_limit_exceeded", "return ('x'):rep(1<<22, ('y'):rep(1<<22))"),
    Attack("pat", "time_limit_exceeded", "return (('a'):rep(40)):match(('a-'):rep(20)..'b')"),
    Attack("pat2", "time_limit_exceeded", "return ('a'):rep(1e5):find('.-b')"),
    Attack("gsub", "time_limit_exceeded", "return ('a'):rep(1e5):gsub('.-b','')"),
    Attack("gmatch", None, "for x in ('a'):rep(1e5):gmatch('^a-a-a-b') do end"),
    Attack("bal", "time_limit_exceeded", "return ('('):rep(1e6):find('%b()')"),
    Attack("plain", "time_limit_exceeded", "return ('a'):rep(2e6):find(('a'):rep(1e6)..'b',1,true)"),
    Attack("frontier", None, "return ('a'):rep(1e5):find('%f[b].-c')"),
    Attack("back", "time_limit_exceeded", "return ('a'):rep(3000):find('(.-)(.-)%1%2b')"),
    Attack("goto", "time_limit_exceeded", "::a:: goto a"),
    Attack("repeat", "time_limit_exceeded", "repeat until false"),
    Attack("for", "time_limit_exceeded", "for i=1,1<<62 do end"),
    Attack("rec", "time_limit_exceeded", "local function f() return f() end f()"),
    Attack("deep", "memory_limit_exceeded", "local function f() return 1+f() end while true do pcall(f) end"),
    Attack("deep2", "time_limit_exceeded", "local function f() local ok,e=pcall(f) return f() end f()"),
    Attack("strcat", "memory_limit_exceeded", "local s='x' while true do s=s..s end"),
    Attack("pcallmem", "memory_limit_exceeded", "local s='x' while true do pcall(function() s=s..s end) end"),
    Attack("tbl", "memory_limit_exceeded", "local t={} for i=1,1e9 do t[i]=i end"),
    Attack("closures", "memory_limit_exceeded", "local t={} while true do t[#t+1]=function() return t end end"),
    Attack("cos", "memory_limit_exceeded", "local t={} while true do t[#t+1]=coroutine.create(function() end) end"),
    Attack("mem host", "memory_limit_exceeded", "local s=('x'):rep(6<<20) while true do print(s) end"),
    Attack("mem host2", "memory_limit_exceeded", "local s=('x'):rep(3<<20) while true do pcall(print,s,s) end"),
    Attack("mem json", "memory_limit_exceeded", "local s=('x'):rep(5<<20) return {a=s,b=s,c=s}"),
    Attack(
        "mem dec", "memory_limit_exceeded", "return json.decode(('['):rep(90)..('[],'):rep(1e6)..'1'..(']'):rep(90))"
    ),
    Attack(
        "fill then require",
        "memory_limit_exceeded",
        "local t={} pcall(function() while true do t[#t+1]=('x'):rep(1000)..#t end end) return require('m')",
    ),
    Attack(
        "brim",
        "memory_limit_exceeded",
        "local t={} local s for i=1,7e3 do t[i]=('x'):rep(1000)..i end for i=1,1e6 do pcall(print,'a') t[#t+1]=('y'):rep(1000)..i end",
    ),
    Attack("json deep", "script_runtime_error", "local t={} for i=1,1e5 do t={t} end return t"),
    Attack("json cyc", "script_runtime_error", "local t={} t.t=t return t"),
    Attack("load", "invalid_response", "return load(string.rep('x=1 ',1e6))"),
    Attack("loadrd", "invalid_response", "return load(function() return 'x' end)"),
    Attack(
        "next",
        "time_limit_exceeded",
        "local t={} for i=1,2e5 do t[i]=i end for i=1,2e5 do t[i]=nil end while true do next(t) end",
    ),
    Attack("upper", "time_limit_exceeded", "while true do (('x'):rep(1e6)):upper() end"),
    Attack("format", "script_runtime_error", "return ('%s'):rep(1e5):format()"),
    Attack("bytes", "script_runtime_error", "return ('x'):rep(1e6):byte(1,-1)"),
    Attack(
        "close gc",
        "time_limit_exceeded",
        "while true do local x <close> =setmetatable({},{__close=function() end}) end",
    ),
    Attack(
        "tbc err",
        "time_limit_exceeded",
        "local function f() local x <close> =setmetatable({},{__close=function() error('again') end}) error('one') end while true do pcall(f) end",
    ),
    Attack(
        "error obj", "script_runtime_error", "error(setmetatable({},{__tostring=function() while true do end end}))"
    ),
    Attack(
        "error obj2",
        "script_runtime_error",
        "error(setmetatable({},{__index=function() while true do end end, __name='x'}))",
    ),
    Attack("ret big", "memory_limit_exceeded", "return ('x'):rep(7<<20)"),
    Attack("ret hdr", None, "return 'x',200,setmetatable({},{__pairs=function() while true do end end})"),
    Attack(
        "ret hdr2",
        "memory_limit_exceeded",
        "return 'x',200,{[('a'):rep(1000)]=setmetatable({},{__len=function() return 1<<50 end, __index=function() return 'x' end})}",
    ),
    Attack(
        "print meta",
        "memory_limit_exceeded",
        "print(setmetatable({},{__tostring=function() return ('x'):rep(1e7) end}))",
    ),
    Attack("name meta", None, "return tostring(setmetatable({},{__name=('x'):rep(1e6)}))"),
    Attack(
        "iter",
        "time_limit_exceeded",
        "for k,v in pairs(setmetatable({},{__pairs=function() return function() return 1 end end})) do end",
    ),
    Attack("select", "time_limit_exceeded", "while true do select('#',table.unpack({},1,1e5)) end"),
    Attack("pack", "script_runtime_error", "return string.pack(('i'):rep(1e6),1)"),
    Attack("date", "memory_limit_exceeded", "return os.date(('%c'):rep(1e6))"),
    Attack(
        "ipairs", "time_limit_exceeded", "for i,v in ipairs(setmetatable({},{__index=function() return 1 end})) do end"
    ),
    Attack("utf8", "time_limit_exceeded", "while true do utf8.len(('é'):rep(1e6)) end"),
    Attack("string metatable", "script_runtime_error", "getmetatable('').__index.upper = nil"),
    Attack("set string metatable", "script_runtime_error", "return setmetatable('', {})"),
    Attack("bytecode", "script_runtime_error", "return load('\\27Lua', 'x', 'b')()"),
    Attack("gc metamethod", "script_runtime_error", "return setmetatable({}, {__gc = function() end})"),
    Attack("computed require", "module_not_found", "return require('m' .. '')"),
)
