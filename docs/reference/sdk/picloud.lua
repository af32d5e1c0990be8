---@meta
-- Made from picloud/sdk/: do not edit.

--- Do what a function does to `kv`, `docs`, `queue` and `pubsub` all at once, or not at all when it raises an error.
---
--- Within, a run sees what it has written; others do not until the end. A transaction within another is undone alone
--- when its error is caught. When a run ends inside, nothing of it is kept.
---@param _body function called once, without arguments
---@return any? #what the function returns
function transaction(_body) end

--- Values under keys, one set of them per app.
---
--- A key is a string of 1 to 1024 bytes. A value is anything JSON can hold, or a string of any bytes, of at most
--- 1 MiB. Each entry has a version, an integer that grows with every change and never comes back:
--- pass it as `if_version` to change an entry only if nobody else has. An entry with a `ttl` is gone when that many seconds
--- have passed. One call takes or gives at most 1000 keys and 4 MiB of values.
---
--- Every call is atomic. To change several entries at once use `kv.commit`, or `transaction`.
kv = {}

--- Read an entry.
---@param key string 1 to 1024 bytes
---@return any #the value and its version, or nil when there is no entry
---@return integer
function kv.get(key) end

---@class KvSetOptions
---@field ttl? number seconds after which the entry is gone; left out: never
---@field only_if_absent? boolean only when there is no entry
---@field if_version? integer only when the entry has this version

--- Set an entry. Without `ttl` it stays, also when it was to expire before.
---@param key string 1 to 1024 bytes
---@param value any what JSON can hold, or a string of any bytes; at most 1 MiB
---@param options? KvSetOptions
---@return integer? #the entry's version, or nil when a condition did not hold and nothing was changed
function kv.set(key, value, options) end

---@class KvDeleteOptions
---@field if_version? integer only when the entry has this version

--- Delete an entry.
---@param key string 1 to 1024 bytes
---@param options? KvDeleteOptions
---@return boolean #whether there was an entry, of that version, to delete
function kv.delete(key, options) end

--- Tell whether there is an entry.
---@param key string 1 to 1024 bytes
---@return boolean #whether there is an entry
function kv.exists(key) end

---@class KvIncrOptions
---@field ttl? number seconds after which an entry made by this call is gone; an older one keeps its own

--- Add to an integer, atomically; an entry that is not there counts as 0.
---@param key string 1 to 1024 bytes
---@param by? integer what to add; may be negative
---@param options? KvIncrOptions
---@return integer #the sum
function kv.incr(key, by, options) end

--- Read several entries, all of one moment.
---@param keys string[] at most 1000 keys
---@return table<string, any> #a table of the entries there are, by key
function kv.get_many(keys) end

---@class KvSetManyOptions
---@field ttl? number seconds after which the entry is gone; left out: never

--- Set several entries at once.
---@param entries table<string, any> values by key
---@param options? KvSetManyOptions
function kv.set_many(entries, options) end

---@class KvListOptions
---@field limit? integer entries at most, up to 1000; a page ends sooner when its values grow large
---@field cursor? string where to go on, from the page before

--- List entries page by page. Each entry that is there throughout comes exactly once, whatever else is written.
---@param prefix? string what the keys begin with, no character being special; left out: all keys
---@param options? KvListOptions
---@return table[] #entries `{ key, value, version }` in the order of their keys' bytes, and a cursor when there are more
---@return string?
function kv.list(prefix, options) end

---@class KvCommitOptions
---@field checks? table<string, any> the versions entries must have, by key; false for an entry that must not be there
---@field set? table<string, any> values to set, by key
---@field delete? string[] keys to delete
---@field ttl? number seconds after which the entry is gone; left out: never

--- Change several entries at once, if they have not changed in the meantime.
---@param options? KvCommitOptions
---@return boolean #whether all checks held; otherwise nothing was changed
function kv.commit(options) end

--- Messages that wait until a trigger takes them, each once.
---
--- A message is anything JSON can hold, or a string of any bytes, of at most 256 KiB. Once a call
--- has returned, the message is kept, whatever happens; inside a `transaction` it is kept when that is.
queue = {}

---@class QueueSendOptions
---@field delay? number seconds before which it is not delivered, up to a year
---@field dedupe_key? string 1 to 256 bytes; while one message waits, others are left out

--- Send one message.
---@param name string letters, digits, `_`, `.` and `-`, at most 128
---@param message any what JSON can hold, or a string of any bytes
---@param options? QueueSendOptions
---@return string? #the message's id, or nil when a message with this `dedupe_key` waits already
function queue.send(name, message, options) end

---@class QueueSendManyOptions
---@field delay? number seconds before which it is not delivered, up to a year

--- Send several messages at once: all of them or none.
---@param name string letters, digits, `_`, `.` and `-`, at most 128
---@param messages any[] at most 1000 messages
---@param options? QueueSendManyOptions
---@return string[] #the messages' ids, in their order
function queue.send_many(name, messages, options) end

--- Count the messages that wait.
---@param name string letters, digits, `_`, `.` and `-`, at most 128
---@return integer #how many messages wait, those with a delay included
function queue.size(name) end

--- Messages that every trigger of their topic gets.
---
--- A message is anything JSON can hold, or a string of any bytes, of at most 256 KiB. Once a call
--- has returned, the message is kept, whatever happens; inside a `transaction` it is kept when that is.
pubsub = {}

--- Publish one message.
---@param topic string letters, digits, `_`, `.` and `-`, at most 128
---@param message any what JSON can hold, or a string of any bytes
---@return string #the message's id
function pubsub.publish(topic, message) end

--- Messages whose triggers failed as often as they may.
---
--- A dead letter has `id`, `kind` (`queue` or `topic`), `name`, `message`, `script` (which failed), `code` and `error`
--- (how), `attempts`, and `sent_at` and `failed_at` in seconds since 1970.
dead_letters = {}

---@class DeadLettersListOptions
---@field limit? integer how many at most, up to 100
---@field cursor? string where to go on, from the page before

--- List dead letters page by page.
---@param options? DeadLettersListOptions
---@return table[] #dead letters, those that failed last first, and a cursor when there are more
---@return string?
function dead_letters.list(options) end

--- Read one dead letter.
---@param id string of the dead letter
---@return table? #the dead letter, or nil when there is none
function dead_letters.get(id) end

--- Send a dead letter again, to be delivered at once, and take it off the list.
---@param id string of the dead letter
---@return boolean #whether there was such a dead letter
function dead_letters.redrive(id) end

--- Delete a dead letter for good.
---@param id string of the dead letter
---@return boolean #whether there was such a dead letter
function dead_letters.discard(id) end

--- Bytes as hexadecimal digits ([RFC 4648](https://www.rfc-editor.org/rfc/rfc4648), section 8).
hex = {}

--- Write bytes as digits.
---@param data string any bytes
---@return string #lower-case digits, two per byte
function hex.encode(data) end

--- Read digits back.
---@param text string digits of either case, without anything between them
---@return string #the bytes
function hex.decode(text) end
