-- Read-only tables: what a data module returns, shared between the runs of a state.
-- A frozen table is an empty one in front of the table it shows; nothing hands the latter out.
-- Returns freeze(value), and raw(t): the table behind a frozen one, nil for any other value.
local next, type, error, rawget = next, type, error, rawget
local setmetatable, getmetatable = setmetatable, debug.getmetatable

local BEHIND = {}

local function raw(t)
  local meta = getmetatable(t)
  return meta and type(t) == "table" and rawget(meta, BEHIND)
end

local function refuse()
  error("this table belongs to a data module, which all runs share: copy what you want to change", 2)
end

local function front_of(t)
  return setmetatable({}, {
    [BEHIND] = t,
    __metatable = false,
    __index = t,
    __newindex = refuse,
    __len = function() return #t end,
    __pairs = function()
      local key, value
      return function()
        key, value = next(t, key)
        return key, value
      end
    end,
  })
end

-- Takes a value made of scalars and tables without metatables, which nobody else holds; returns it read-only.
local function freeze(value)
  if type(value) ~= "table" then return value end
  local fronts, pending, n, at = { [value] = front_of(value) }, { value }, 1, 0
  local function front(t)
    if type(t) ~= "table" then return t end
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

return freeze, raw
