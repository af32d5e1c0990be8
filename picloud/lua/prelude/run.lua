-- One run at a time per state: its environment, its modules, its request, its answer.
-- Given: host(operation, ...) -> ok, ...; the sandbox; read-only tables; the namespaces made so far; the codec; fail; what tells error objects; what shows a value; the source of what scripts must not see; LIMIT; the limits of imports and answers.
-- Only strings, numbers and booleans cross to the host, so the host never touches a table that Lua may move or free.
local host, new_environment, copy, freeze, raw, namespaces, json, fail, details_of, shown, HOST_SOURCE, LIMIT, DEPTH_MAX, RESPONSE_MAX = ...

local OUT_OF_MEMORY = "not enough memory"
local pcall, xpcall, load, error, type, next, select, tostring, tonumber = pcall, xpcall, load, error, type, next, select, tostring, tonumber
local rawget, rawset, rawequal, setmetatable = rawget, rawset, rawequal, setmetatable
local getmetatable, getinfo, getlocal = debug.getmetatable, debug.getinfo, debug.getlocal
local concat, sort, find, format, gsub, gmatch, lower, match, sub = table.concat, table.sort, string.find, string.format, string.gsub, string.gmatch, string.lower, string.match, string.sub
local unpack = table.unpack
local char, utf8len, mathtype, randomseed = string.char, utf8.len, math.type, math.randomseed
local floor, mininteger, maxinteger = math.floor, math.mininteger, math.maxinteger

local chunks = {} -- version -> factory(env) -> function
local is_data, shared = {}, {} -- version -> true for a data module; its value, once loaded, for all runs to come
local loaded, mains -- of the current run
local repeats -- true when the run has the clock and the randomness of a test
local quiet -- true once the run has logged all it may: further lines are dropped without a call
local HEADERS_MAX, HEADER_BYTES_MAX = 100, 64 * 1024 -- of an answer: the server's own table of headers overflows far beyond
local MESSAGE_MAX = 8192 -- bytes of an error's message that leave the state

-- errors --------------------------------------------------------------------------------------------------------

local function frames()
  local lines, script, line = {}, nil, nil
  for level = 3, 60 do
    local info = getinfo(level, "Slnf")
    if not info then break end
    if info.what ~= "C" and info.source ~= HOST_SOURCE then
      local name = sub(info.source, 2)
      local what = mains[info.func] and "in main chunk"
        or info.name and format("in function '%s'", info.name)
        or format("in function <%s:%d>", name, info.linedefined)
      script, line = script or name, line or info.currentline
      lines[#lines + 1] = format("%s:%d: %s", name, info.currentline, what)
      if #lines == 20 then lines[21] = "..." break end
    end
  end
  return script or "", line or 0, concat(lines, "\n")
end

local function describe(e)
  if type(e) == "string" then
    if #e > MESSAGE_MAX then e = sub(e, 1, MESSAGE_MAX) .. "..." end
    return "", (gsub(e, "^picloud:%d+: ", ""))
  end
  local details = details_of(e)
  if details then return details.code, details.message, details.extra end
  if type(e) == "table" then
    local message = rawget(e, "message")
    if type(message) == "string" then return "", #message > MESSAGE_MAX and sub(message, 1, MESSAGE_MAX) .. "..." or message end
    return "", "(the error is a table without a message)"
  end
  if type(e) == "number" or type(e) == "boolean" or e == nil then return "", tostring(e) end
  return "", "(the error is a " .. type(e) .. ")"
end

local stopped -- where a limit stopped the run: read afterwards, since every instruction raises until the run has ended

local function on_error(e) -- may run inside a hook, where nothing watches: only bounded work here
  local script, line, traceback = frames()
  if rawequal(e, LIMIT) then
    stopped = { "limit", "", script, line, traceback }
    return stopped
  end
  local code, message, extra = describe(e)
  if code == "" then code = "error" end
  return { code, message, script, line, traceback, extra }
end

-- Returns "ok" and the results, or "error", code, message, script, line, traceback, and what the error holds for the host
-- alone, if it does. Never raises.
local function finish(ok, result, ...)
  if ok then return result, ... end
  if type(result) == "table" then return "error", result[1], result[2], result[3], result[4], result[5], result[6] end
  if result == OUT_OF_MEMORY then return "error", "memory", "", "", 0, "" end
  return "error", "error", tostring(result), "", 0, ""
end

local function protect(f, ...)
  return finish(xpcall(f, on_error, ...))
end

-- compiling and requiring ---------------------------------------------------------------------------------------

local function compile(version, name, source)
  local chunkname = "=" .. name
  local checked, message = load(source, chunkname, "t")
  if not checked then fail("syntax", message) end
  local factory = load("local _ENV = ... return function(...) " .. source .. "\nend", chunkname, "t")
  chunks[version] = factory
  return factory
end

local function factory_of(version, name)
  local factory = chunks[version]
  if factory then return factory end
  local source, constant, dropped = host("source", version, name)
  if dropped then chunks[dropped], is_data[dropped], shared[dropped] = nil, nil, nil end
  factory = compile(version, name, source)
  is_data[version] = constant
  host("compiled")
  return factory
end

local environment

local function exports_of(own, result)
  if result ~= nil then return result end
  local exports = {}
  for name, value in next, own do exports[name] = value end
  return exports
end

local function load_module(chain, name, version)
  local env = environment({ name = name, version = version, module = true, parent = chain, depth = chain.depth + 1 })
  local main = factory_of(version, name)(env)
  mains[main] = true
  local exports = exports_of(env, main())
  if not is_data[version] then return exports end
  shared[version], chunks[version] = freeze(exports), nil
  return shared[version]
end

local function require_from(chain)
  return function(name)
    if type(name) ~= "string" then
      fail("module_not_found", "require: expected the name of a module, got " .. type(name))
    end
    local ready = loaded[name]
    if ready ~= nil then return ready end
    local path, link = { name }, chain
    while link do
      path[#path + 1] = link.name
      if link.name == name and link.module then
        local forward = {}
        for i = #path, 1, -1 do forward[#forward + 1] = path[i] end
        fail("import_cycle", "modules require each other in a circle: " .. concat(forward, " -> "))
      end
      link = link.parent
    end
    if chain.depth >= DEPTH_MAX then
      local forward = {}
      for i = #path, 1, -1 do forward[#forward + 1] = path[i] end
      fail("import_too_deep", "more than " .. DEPTH_MAX .. " levels of modules: " .. concat(forward, " -> "))
    end
    local version = host("resolve", name, chain.version)
    local exports = shared[version]
    if exports == nil then exports = load_module(chain, name, version) end
    loaded[name] = exports
    return exports
  end
end

-- Lua's own clocks stand still with the SDK's, and its generator starts from the SDK's. All other runs have the functions
-- in C, without a call of the host.
local function make_repeatable(env)
  local os_time, os_date = env.os.time, env.os.date
  local function now() return floor(host("time.now")) end
  env.os.time = function(t)
    if t == nil then return now() end
    return os_time(t)
  end
  env.os.date = function(layout, t)
    if layout == nil then layout = "%c" end
    if t == nil then t = now() end
    return os_date(layout, t)
  end
  env.os.clock = function() return host("time.monotonic") end
  env.math.randomseed = function(...)
    if select("#", ...) == 0 then return randomseed(host("random.integer", mininteger, maxinteger)) end
    return randomseed(...)
  end
end

function environment(chain, extra)
  local env = new_environment()
  if repeats then make_repeatable(env) end
  for name, namespace in next, namespaces do env[name] = namespace end
  if extra then for name, value in next, extra do env[name] = value end end
  env.require = require_from(chain)
  env.print = function(...)
    if quiet then return end
    local parts = {}
    for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
    quiet = host("print", concat(parts, "\t"))
  end
  if chain.module then -- the module's own globals alone, so that they can be told from the environment's
    local own = setmetatable({}, { __index = env, __metatable = false })
    env._G = own
    return own
  end
  return env
end

-- the request ---------------------------------------------------------------------------------------------------

local function decode_form(text)
  local form = {}
  for pair in gmatch(text, "[^&]+") do
    local at = find(pair, "=", 1, true) or #pair + 1
    local function plain(s)
      return (gsub(gsub(s, "%+", " "), "%%(%x%x)", function(hex) return char(tonumber(hex, 16)) end))
    end
    local key = plain(sub(pair, 1, at - 1))
    if form[key] == nil then form[key] = plain(sub(pair, at + 1)) end
  end
  return form
end

local lazy = {}

function lazy.json(request)
  if request.body == "" then return nil end
  local ok, value = pcall(json.decode, request.body)
  if ok then return value end
  local details = details_of(value)
  if details then fail("bad_body", "the request body is " .. details.message) end
  error(value, 0)
end

function lazy.form(request)
  local kind = request.headers["content-type"] or ""
  return find(kind, "^application/x%-www%-form%-urlencoded") and decode_form(request.body) or {}
end

function lazy.cookies(request)
  local cookies = {}
  for pair in gmatch(tostring(request.headers.cookie or ""), "[^;]+") do -- linear in what a client may send
    local at = find(pair, "=", 1, true)
    local name = at and match(sub(pair, 1, at - 1), "^%s*(%S+)$")
    if name and cookies[name] == nil then cookies[name] = sub(pair, at + 1) end
  end
  return cookies
end

local function remaining_ms() return host("remaining") end

local request_meta = {
  __metatable = false,
  __index = function(request, key)
    if key == "remaining_ms" then return remaining_ms end -- not a field: a request can be returned as JSON
    local make = lazy[key]
    if not make then return nil end
    local value = make(request)
    rawset(request, key, value)
    return value
  end,
}

local function pairs_from(n, at, flat)
  local t = {}
  for i = at, at + 2 * n - 2, 2 do
    local key = flat[i]
    if t[key] == nil then t[key] = flat[i + 1] end
  end
  return t
end

local function new_request(method, path, id, app, principal, body, params, query, headers, ...)
  local request = { method = method, path = path, id = id, app = app, body = body, principal = principal or nil }
  local flat = { ... }
  request.params = pairs_from(params, 1, flat)
  request.query = pairs_from(query, 1 + 2 * params, flat)
  request.headers = pairs_from(headers, 1 + 2 * (params + query), flat)
  return setmetatable(request, request_meta)
end

-- the response ----------------------------------------------------------------------------------------------------

local response_meta = { __name = "response", __metatable = false }

local function new_response(body, status, headers, kind)
  if headers ~= nil and type(headers) ~= "table" then
    fail("invalid_response", "headers must be a table of names and values, got " .. type(headers))
  end
  return setmetatable({ body = body, status = status, headers = headers, kind = kind }, response_meta)
end

local response = {
  json = function(value, status, headers)
    return new_response(json.encode(value), status, headers, "application/json")
  end,
  html = function(text, status, headers)
    return new_response(tostring(text), status, headers, "text/html; charset=utf-8")
  end,
  text = function(text, status, headers)
    return new_response(tostring(text), status, headers, "text/plain; charset=utf-8")
  end,
  bytes = function(data, kind, status, headers)
    if type(data) ~= "string" then fail("invalid_response", "response.bytes: expected a string, got " .. type(data)) end
    return new_response(data, status, headers, kind or "application/octet-stream")
  end,
  redirect = function(url, status)
    if type(url) ~= "string" then fail("invalid_response", "response.redirect: expected a URL, got " .. type(url)) end
    return new_response("", status or 302, { location = url })
  end,
}

local function text_kind(body)
  if not utf8len(body) then return "application/octet-stream" end
  local start = lower(match(sub(body, 1, 512), "^%s*(<!?%a[%w%-]*)") or "")
  if start == "<!doctype" or start == "<html" or start == "<!--" or find(start, "^<%a") then return "text/html; charset=utf-8" end
  return "text/plain; charset=utf-8"
end

local function header_lines(headers)
  if headers == nil then return "", nil end
  headers = raw(headers) or headers
  local lines, kind, n, size = {}, nil, 0, 0
  for name, value in next, headers do
    if type(name) ~= "string" or not find(name, "^[%w!#$%%&'*+.^_`|~-]+$") then
      fail("invalid_response", "a header name must be a token like X-Name, got " .. sub(tostring(name), 1, 60))
    end
    local values = type(value) == "table" and value or { value }
    for i = 1, #values do
      local text = values[i]
      if type(text) == "number" then text = tostring(text) end
      if type(text) ~= "string" or find(text, "%c") then
        fail("invalid_response", "header " .. sub(name, 1, 60) .. ": the value must be text without control characters")
      end
      if lower(name) == "content-type" then kind = text
      else
        n, size = n + 1, size + #name + #text
        if n > HEADERS_MAX or size > HEADER_BYTES_MAX then
          fail("invalid_response", "the headers are more than " .. HEADERS_MAX .. " fields or " .. HEADER_BYTES_MAX .. " bytes")
        end
        lines[n] = lower(name) .. "\n" .. text
      end
    end
  end
  return concat(lines, "\n"), kind
end

local function answer(body, status, headers)
  local kind
  if type(body) == "table" and getmetatable(body) == response_meta then
    body, status, headers, kind = body.body, body.status or status, body.headers or headers, body.kind
  end
  if headers ~= nil and type(headers) ~= "table" then
    fail("invalid_response", "the third value returned must be a table of headers, got " .. type(headers))
  end
  local lines, given = header_lines(headers)
  if type(body) == "string" then kind = given or kind or text_kind(body)
  elseif body == nil then body, status, kind = "", status or 204, given or ""
  else body, kind = json.encode(body), given or "application/json" end
  if type(kind) ~= "string" or find(kind, "%c") then
    fail("invalid_response", "the content type must be text without control characters")
  end
  status = status or 200
  if mathtype(status) ~= "integer" or status < 200 or status > 599 then
    fail("invalid_response", "the status must be an integer from 200 to 599, got " .. sub(tostring(status), 1, 40))
  end
  if #body + #lines > RESPONSE_MAX then
    fail("response_too_large", "the answer has " .. #body + #lines .. " bytes, more than the " .. RESPONSE_MAX .. " allowed")
  end
  return "ok", status, kind, body, lines
end

-- what the host calls -------------------------------------------------------------------------------------------

-- Never fails for what is in the fields: what a client sends must not end a run because it is logged.
local function fields_text(fields)
  if fields == nil then return "" end
  local ok, text = pcall(json.encode, fields)
  if ok then return text end
  if rawequal(text, LIMIT) or text == OUT_OF_MEMORY then error(text, 0) end
  local _, message = describe(text)
  return json.encode({ not_logged = utf8len(message) and message or "its keys are not UTF-8 text" })
end

local log = {}
for _, level in next, { "debug", "info", "warn", "error" } do
  log[level] = function(message, fields)
    if quiet then return end
    quiet = host("log", level, tostring(message), fields_text(fields))
  end
end

namespaces.log, namespaces.json = log, json
for name, namespace in next, namespaces do namespaces[name] = freeze(namespace) end

local function begin(seed, is_repeatable)
  randomseed(seed)
  loaded, mains, stopped, quiet, repeats = {}, {}, nil, false, is_repeatable
end

local operations = {}

local function endpoint(version, name, ...)
  local request = new_request(...)
  local env = environment({ name = name, version = version, depth = 0 }, { request = request, response = copy(response) })
  local main = factory_of(version, name)(env)
  mains[main] = true
  return answer(main())
end

function operations.endpoint(seed, is_repeatable, ...)
  begin(seed, is_repeatable)
  return protect(endpoint, ...)
end

-- events ----------------------------------------------------------------------------------------------------------

local function content(is_json, payload)
  if not payload then return nil end
  if is_json then return json.decode(payload) end
  return payload
end

-- What a message can be told; not fields, so that an event can be stored or sent as it is.
local function meta_of(place)
  local methods = { remaining_ms = remaining_ms }
  function methods.ack(_) host("ack", place) end
  function methods.retry(_, seconds)
    if seconds == nil then seconds = -1 end
    if type(seconds) ~= "number" then error("write event:retry(seconds)", 2) end
    host("retry", place, seconds)
  end
  return { __metatable = false, __index = methods }
end

local FIELDS = 10

local function new_message(place, flat)
  local at = (place - 1) * FIELDS
  local message = {
    id = flat[at + 1], name = flat[at + 2], operation = flat[at + 3] or nil, key = flat[at + 4] or nil,
    version = flat[at + 8] or nil, sent_at = flat[at + 9], attempt = flat[at + 10],
  }
  return message, content(flat[at + 5], flat[at + 6]), content(true, flat[at + 7])
end

local new_event = {}

function new_event.kv(flat)
  local event, value = new_message(1, flat)
  event.name, event.value = nil, value
  return event
end

function new_event.docs(flat)
  local event, after, before = new_message(1, flat)
  event.collection, event.document_id, event.after, event.before = event.name, event.key, after, before
  event.name, event.key = nil, nil
  return event
end

function new_event.topic(flat)
  local event, message = new_message(1, flat)
  event.topic, event.name, event.message = event.name, nil, message
  return event
end

function new_event.cron(flat)
  local event, tick = new_message(1, flat)
  event.name, event.tick = nil, tick
  return event
end

function new_event.dead_letter(flat)
  local event, letter = new_message(1, flat)
  event.name, event.dead_letter = nil, letter
  return event
end

function new_event.queue(flat)
  local messages = {}
  for place = 1, #flat // FIELDS do
    local message, body = new_message(place, flat)
    message.name, message.message = nil, body
    messages[place] = setmetatable(message, meta_of(place))
  end
  local event = { queue = flat[2], messages = messages }
  if #messages == 1 then
    for name, value in next, messages[1] do event[name] = value end
  end
  return event
end

local function trigger(version, name, kind, ...)
  local event = new_event[kind]({ ... })
  event.kind = kind
  setmetatable(event, meta_of(1))
  local env = environment({ name = name, version = version, depth = 0 }, { event = event })
  local main = factory_of(version, name)(env)
  mains[main] = true
  main()
  return "ok"
end

function operations.trigger(seed, is_repeatable, ...)
  begin(seed, is_repeatable)
  return protect(trigger, ...)
end

-- tests -----------------------------------------------------------------------------------------------------------

local function same(a, b, depth)
  if rawequal(a, b) or (type(a) == type(b) and type(a) ~= "table" and a == b) then return true end
  if type(a) ~= "table" or type(b) ~= "table" or depth > 50 then return false end
  a, b = raw(a) or a, raw(b) or b
  for key, value in next, a do if not same(value, rawget(b, key), depth + 1) then return false end end
  for key in next, b do if rawget(a, key) == nil then return false end end
  return true
end

local function show(value)
  if type(value) == "table" then
    local ok, text = pcall(json.encode, value)
    if ok then return sub(text, 1, 400) end
  end
  if type(value) == "string" then return (gsub(format("%q", sub(value, 1, 400)), "\\\n", "\\n")) end
  if value == nil or type(value) == "number" or type(value) == "boolean" then return tostring(value) end
  return "a " .. type(value)
end

-- What must hold, the same in words, and whether the check takes a value to compare with.
local checks = {
  equals = { function(value, other) return same(value, other, 1) end, "to equal", true },
  is_nil = { function(value) return value == nil end, "to be nil" },
  is_truthy = { function(value) return value and true or false end, "to be truthy" },
  is_falsy = { function(value) return not value end, "to be falsy" },
  is_a = { function(value, kind) return type(value) == kind end, "to be of type", true },
  matches = { function(value, pattern) return type(value) == "string" and (value):find(pattern) ~= nil end, "to match", true },
  contains = { function(value, item)
    if type(value) == "string" then return (value):find(item, 1, true) ~= nil end
    if type(value) ~= "table" then return false end
    for _, other in next, raw(value) or value do if same(other, item, 1) then return true end end
    return false
  end, "to contain", true },
}

-- Ends a test. `actual` and `expected` are what `shown` returned, or nil where the sentence says it all.
local function fail_expectation(matcher, held, message, actual, expected)
  local parts = { format('"matcher":"%s","held":%d', matcher, held) }
  if actual then parts[#parts + 1] = '"actual":' .. actual end
  if expected then parts[#parts + 1] = '"expected":' .. expected end
  fail("expectation_failed", message, "{" .. concat(parts, ",") .. "}")
end

local function test_functions()
  local count = 0
  local function expect(value)
    local expectation = {}
    for name, check in next, checks do
      expectation[name] = function(self, ...)
        if self ~= expectation then error("write expect(value):" .. name .. "(...), with a colon", 2) end
        if not check[1](value, ...) then
          local other = check[3] and " " .. show((...)) or ""
          local expected = check[3] and shown((...)) or nil
          fail_expectation(name, count, "expected " .. show(value) .. " " .. check[2] .. other, shown(value), expected)
        end
        count = count + 1
        return expectation
      end
    end
    expectation.raises = function(self, text)
      if self ~= expectation then error("write expect(value):raises(...), with a colon", 2) end
      local ok, e = pcall(value)
      if rawequal(e, LIMIT) or e == OUT_OF_MEMORY then error(e, 0) end
      if ok then fail_expectation("raises", count, "expected the function to raise an error", nil, text ~= nil and shown(text) or nil) end
      local _, message = describe(e)
      if text and not (message):find(text, 1, true) then
        fail_expectation("raises", count, "expected an error with " .. show(text) .. ", got " .. show(message), shown(message), shown(text))
      end
      count = count + 1
      return expectation
    end
    return expectation
  end
  local function call(method, target, options)
    options = options or {}
    local body = options.json ~= nil and json.encode(options.json) or options.body or ""
    if type(method) ~= "string" or type(target) ~= "string" or type(body) ~= "string" then
      error("call: expected a method, a path and { json = ..., body = text, headers = {...} }", 2)
    end
    local lines = header_lines(options.headers)
    if options.json ~= nil then lines = lines .. (lines ~= "" and "\n" or "") .. "content-type\napplication/json" end
    local status, kind, text, headers = host("call", method, target, body, lines)
    local result = { status = status, body = text, headers = { ["content-type"] = kind ~= "" and kind or nil } }
    for name, value in gmatch(headers, "([^\n]*)\n([^\n]*)") do result.headers[name] = value end
    if find(kind, "^application/json") then result.json = json.decode(text) end
    return result
  end
  local function checked_assert(value, message, ...)
    if not value then
      if message ~= nil and type(message) ~= "string" then error(message, 0) end
      fail_expectation("assert", count, message or "assertion failed!", shown(value))
    end
    count = count + 1
    return value, message, ...
  end
  return { expect = expect, call = call, assert = checked_assert }, function() return count end
end

local function test(version, name)
  local extra, count = test_functions()
  local env = environment({ name = name, version = version, depth = 0 }, extra)
  local main = factory_of(version, name)(env)
  mains[main] = true
  main()
  return "ok", count()
end

function operations.test(seed, is_repeatable, ...)
  begin(seed, is_repeatable)
  return protect(test, ...)
end

-- cells of the kernel: one environment for the session ----------------------------------------------------------

local session

local handle_meta = { __name = "display", __metatable = false } -- of what display returns, which is not shown itself

local function display(value)
  local id = host("display", type(value), shown(value))
  return setmetatable({
    update = function(_, other) host("update_display", id, type(other), shown(other)) end,
  }, handle_meta)
end

local function clear_output(wait)
  host("clear_output", wait and true or false)
end

local function echo(...)
  for i = 1, select("#", ...) do
    local value = (select(i, ...))
    if type(value) ~= "table" or getmetatable(value) ~= handle_meta then host("echo", type(value), shown(value)) end
  end
  return "ok"
end

local function compile_cell(name, source)
  if not session then
    session = environment({ name = "cell", version = "", depth = 0 }, { display = display, clear_output = clear_output })
  end
  local chunk, message = load(source, "=" .. name, "t", session)
  if not chunk then fail("syntax", message) end
  mains[chunk] = true
  return chunk
end

local function names_in(text)
  local names = {}
  for name in gmatch(text, "%S+") do names[#names + 1] = name end
  return names
end

-- A cell that ran out of memory loses the variables it declared: those of other cells would have no room to run.
local function forgetting(declared, ...)
  local _, code = ...
  if code == "memory" and session then for i = 1, #declared do session[declared[i]] = nil end end
  return ...
end

local function cell(name, source)
  return echo(compile_cell(name, source)())
end

function operations.cell(seed, is_repeatable, name, source, declared)
  begin(seed, is_repeatable)
  return forgetting(names_in(declared), protect(cell, name, source))
end

-- What completion and help see of a session: nothing of it is run, no metamethod either -------------------------

local LISTED_MAX, BASES_MAX, TEXT_MAX = 2000, 8, 200

local function parameters_of(value)
  if type(value) ~= "function" then return "" end
  local info, names = getinfo(value, "Su"), {}
  if info.what == "C" then return "(...)" end
  for i = 1, info.nparams do names[i] = getlocal(value, i) end
  if info.isvararg then names[#names + 1] = "..." end
  return "(" .. concat(names, ", ") .. ")"
end

-- The table itself, and those its fields are looked up in when it has none of a name.
local function bases_of(value)
  local bases = {}
  while type(value) == "table" and #bases < BASES_MAX do
    bases[#bases + 1] = raw(value) or value
    local meta = not raw(value) and getmetatable(value)
    value = type(meta) == "table" and rawget(meta, "__index")
  end
  return bases
end

local function step(value, name)
  if type(value) == "string" then value = rawget(session, "string") end
  for _, base in next, bases_of(value) do
    local found = rawget(base, name)
    if found ~= nil then return found end
  end
end

local function short(value)
  local kind = type(value)
  if kind == "string" then return (gsub(format("%q", sub(value, 1, TEXT_MAX)), "\\\n", "\\n")) end
  if kind == "number" or kind == "boolean" then return tostring(value) end
  return ""
end

local function look(...)
  local value = session
  for i = 1, select("#", ...) do value = step(value, (select(i, ...))) end
  if value == nil then return "ok" end
  local lines, n = {}, 0
  for _, base in next, bases_of(type(value) == "string" and rawget(session, "string") or value) do
    for name, field in next, base do
      if n >= LISTED_MAX then break end
      if type(name) == "string" and find(name, "^[%a_][%w_]*$") then
        n = n + 1
        lines[n] = name .. "\t" .. type(field) .. "\t" .. parameters_of(field) .. "\t" .. short(field)
      end
    end
  end
  local info = type(value) == "function" and getinfo(value, "S")
  if not info or info.what == "C" or info.source == HOST_SOURCE then info = { source = "=", linedefined = 0 } end
  return "ok", type(value), parameters_of(value), short(value), sub(info.source, 2), info.linedefined, concat(lines, "\n")
end

function operations.look(seed, is_repeatable, ...)
  return protect(look, ...)
end

-- scratch code that Python runs: it gets n values as its arguments, and what it returns, from the first on, goes to Python

local function results(first, ...)
  for i = first, select("#", ...) do
    local value = (select(i, ...))
    host("result", json.encode(value == nil and json.null or value))
  end
  return "ok"
end

local function evaluate(name, source, arguments, n, first)
  local values = json.decode(arguments)
  for i = 1, n do if values[i] == json.null then values[i] = nil end end
  return results(first, compile_cell(name, source)(unpack(values, 1, n)))
end

function operations.evaluate(seed, is_repeatable, name, source, declared, ...)
  begin(seed, is_repeatable)
  return forgetting(names_in(declared), protect(evaluate, name, source, ...))
end

function operations.stopped()
  local report = stopped or {}
  return "error", "limit", "", report[3] or "", report[4] or 0, report[5] or ""
end

local function call_operation(name, ...)
  return operations[name](...)
end

-- The last fence: whatever happens inside, memory errors included, the host gets strings and numbers.
return function(name, ...)
  return finish(pcall(call_operation, name, ...))
end
