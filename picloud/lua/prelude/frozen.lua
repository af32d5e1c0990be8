-- Read-only tables: the namespaces of the SDK and what data modules return, shared between the runs of a state.
-- A frozen table is an empty one in front of the table it shows; nothing hands the latter out.
-- Returns freeze(value), raw(t): the table behind a frozen one, nil for any other value, and seal(meta): an empty frozen table
-- with metamethods of its own.
local next, type, error, rawget = next, type, error, rawget
local setmetatable, getmetatable = setmetatable, debug.getmetatable

local BEHIND = {}

local function raw(t)
  local meta = getmetatable(t)
  return meta and type(t) == "table" and rawget(meta, BEHIND)
end

local function refuse()
  error("this table is read-only, since all runs share it: copy what you want to change", 2)
end

local function seal(meta, t)
  meta[BEHIND], meta.__metatable, meta.__newindex = t or {}, false, refuse
  return setmetatable({}, meta)
end

local function front_of(t)
  return seal({
    __index = t,
    __len = function() return #t end,
    __pairs = function()
      local key, value
      return function()
        key, value = next(t, key)
        return key, value
      end
    end,
  }, t)
end

-- Takes a value made of scalars, functions and tables that have no metatable or are frozen, which nobody else holds; returns it
-- read-only.
local function freeze(value)
  if type(value) ~= "table" or raw(value) then return value end
  local fronts, pending, n, at = { [value] = front_of(value) }, { value }, 1, 0
  local function front(t)
    if type(t) ~= "table" or raw(t) then return t end
    if not fronts[t] then
      fronts[t] = front_of(t)
      n = n + 1
      pending[n] = t
    end
    return fronts[t]
  end
  while at < n do
    at = at + 1
    local t, keys = pending[at], {}
    for key, item in next, t do
      t[key] = front(item)
      if type(key) == "table" then keys[#keys + 1] = key end
    end
    for i = 1, #keys do
      local item = t[keys[i]]
      t[keys[i]] = nil
      t[front(keys[i])] = item
    end
  end
  return fronts[value]
end

return freeze, raw, seal
