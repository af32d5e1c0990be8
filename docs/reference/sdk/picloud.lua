---@meta
-- Made from picloud/sdk/: do not edit.

--- Do what a function does to `kv`, `docs`, `queue` and `pubsub` all at once, or not at all when it raises an error.
---
--- Within, a run sees what it has written; others do not until the end. A transaction within another is undone alone
--- when its error is caught. When a run ends inside, nothing of it is kept.
---@param body function called once, without arguments
---@return any? #what the function returns
function transaction(body) end

--- Values under keys, one set of them per app.
---
--- A key is a string of 1 to 1024 bytes. A value is anything JSON can hold, or a string of any bytes, of at most
--- 1 MiB. Each entry has a version, an integer that grows with every change, also past a deletion:
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

--- Collections of JSON documents. A document is a table of this form:
---
---     { id = "...", version = 1764010000000000, created_at = "2026-11-24T18:46:40.000000Z", updated_at = "...",
---       value = { status = "open", address = { city = "Bern" } } }
---
--- `value` is what you store: a table with strings as keys and anything JSON can hold in it, at most
--- 1 MiB as JSON. It comes back as it was, integers as integers and floats as floats. An id is
--- a text of 1 to 256 bytes without NUL; one that is made for you is a UUID of version 7, so that later
--- documents come later. The version is an integer that grows with every change, also past a deletion: pass it as
--- `if_version` to change a document only if nobody else has; if somebody has, the error `conflict` is raised. Times are
--- RFC 3339 in UTC. The name of a collection has 1 to 64 letters, digits, `_` and `-`, with a letter or `_` first; a
--- collection is there once a document is in it.
---
--- A **path** says where in `value` something is: keys with dots between them, like `address.city`. A backslash takes the
--- next character as it stands: `"a\\.b"` in Lua is the one key `a.b`. Paths do not lead into lists. A path has at most
--- 256 bytes.
---
--- A **filter** is a table of paths and what must be there; all of it must hold. The value at the path `p`
---
--- - `{ p = v }`, `{ p = { eq = v } }`: equals `v`; 1 equals 1.0. For a table or list as `v` write `eq`.
--- - `{ p = { ne = v } }`: does not equal `v`, or is not there.
--- - `{ p = { gt = v } }`, `gte`, `lt`, `lte`: is more than, at least, less than, at most `v`; numbers are compared
---   with numbers, strings with strings in the order of their bytes.
--- - `{ p = { ["in"] = list } }`: equals one of the list's values, at most 1000.
--- - `{ p = { prefix = s } }`: is a string that begins with `s`.
--- - `{ p = { contains = v } }`: is a list with an element that equals `v`, or a string with the string `v` in it, of
---   at most 256 bytes.
--- - `{ p = { exists = true } }`: is there; with `false`: is not.
---
--- `{ ["and"] = { f, g } }`, `{ ["or"] = { f, g } }` and `{ ["not"] = f }` put filters together. Several
--- conditions on a path can stand in one table: `{ age = { gte = 18, lt = 65 } }`. `json.null` is a value:
--- `{ p = json.null }` holds when null is there, not when nothing is. Values are never converted: a number never equals a
--- string. A key called `and`, `or` or `not` is the path `"\\and"`. A filter has at most 50 conditions and
--- 8 levels.
---
--- Without an index a filter reads the whole collection. `docs.index` declares a path: filters that need a condition on it
--- (`eq`, `gt`, `gte`, `lt`, `lte`, `in`, `prefix`, `exists`) and orders that begin with it read no more than needed.
docs = {}

---@class DocsInsertOptions
---@field id? string its id, of 1 to 256 bytes; left out: a new one

--- Add a document.
---@param collection string the collection's name
---@param value any a table with strings as keys, of at most 1 MiB as JSON
---@param options? DocsInsertOptions
---@return string #the document's id and version
---@return integer
function docs.insert(collection, value, options) end

--- Read a document.
---@param collection string the collection's name
---@param id string the document's id
---@return table? #the document, or nil when there is none
function docs.get(collection, id) end

---@class DocsReplaceOptions
---@field if_version? integer only when the document has this version

--- Give a document another value.
---@param collection string the collection's name
---@param id string the document's id
---@param value any the new value, all of it
---@param options? DocsReplaceOptions
---@return integer #the document's new version
function docs.replace(collection, id, value, options) end

---@class DocsPatchOptions
---@field if_version? integer only when the document has this version

--- Change parts of a document, atomically ([RFC 7396](https://www.rfc-editor.org/rfc/rfc7396)).
---
--- Tables with strings as keys are merged, level by level; lists and all other values are replaced as a whole.
---@param collection string the collection's name
---@param id string the document's id
---@param changes any what to set, tables within tables; json.null removes a key
---@param options? DocsPatchOptions
---@return table #the document as it is now
function docs.patch(collection, id, changes, options) end

---@class DocsDeleteOptions
---@field if_version? integer only when the document has this version

--- Delete a document.
---@param collection string the collection's name
---@param id string the document's id
---@param options? DocsDeleteOptions
---@return boolean #whether there was such a document
function docs.delete(collection, id, options) end

---@class DocsFindOptions
---@field filter? any which documents; left out: all
---@field sort? string[] at most 4 paths, the first decides first; with `-` in front: descending
---@field reverse? boolean the other way round; without `sort`, newest first
---@field limit? integer documents at most, up to 1000; a page ends sooner when it grows large
---@field cursor? string from the page before; all options but `limit` must be the same; it tells what it was sorted by

--- Find documents page by page, in the order of their ids or of what they have at some paths.
---
--- What is not there comes first, then null, false, true, numbers, strings in the order of their first 511 bytes,
--- lists, tables. Documents that are equal in this come in the order of their ids, turned round with `-` at the last
--- path. A document that is there throughout and is not changed comes exactly once, whatever else is written. A page
--- has at most 4 MiB of documents, but one at least.
---@param collection string the collection's name
---@param options? DocsFindOptions
---@return table[] #documents in order, and a cursor when there are more
---@return string?
function docs.find(collection, options) end

---@class DocsCountOptions
---@field filter? any which documents; left out: all

--- Count documents.
---@param collection string the collection's name
---@param options? DocsCountOptions
---@return integer #how many there are
function docs.count(collection, options) end

--- Declare an index on a path, so that finding by it need not read the whole collection.
---
--- Takes in the documents there are, while writers of the collection wait. Each index makes writes a little slower.
---@param collection string the collection's name
---@param path string what filters and orders use often
---@return boolean #whether it is new
function docs.index(collection, path) end

--- Drop an index.
---@param collection string the collection's name
---@param path string a declared path
---@return boolean #whether there was such an index
function docs.drop_index(collection, path) end

--- List the indexes of a collection.
---@param collection string the collection's name
---@return string[] #declared paths
function docs.indexes(collection) end

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

--- Events whose triggers failed as often as they may, until somebody decides over them.
---
--- A dead letter has `id`, `trigger`, `kind` (as triggers have it), `name` (of the queue, topic or collection),
--- `operation` and `key` (of the entry, or the document's id) where there are any, `message` (what the script got: message,
--- value or document), `event_id`, `script` (which failed), `code` and `error` (how), `attempts`, and `sent_at` and
--- `failed_at` in seconds since 1970.
dead_letters = {}

---@class DeadLettersListOptions
---@field trigger? string only those of this trigger
---@field limit? integer how many at most, up to 100; a page ends sooner when it grows large
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

---@class DeadLettersRedriveOptions
---@field message? any what the script gets in place of the letter's message; left out: that

--- Let the trigger that failed take it again, at once, and take it off the list.
---
--- With another `message` it is another event, with another id; the letter keeps what failed. What comes with a
--- deletion, a tick or a dead letter cannot be edited.
---@param id string of the dead letter
---@param options? DeadLettersRedriveOptions
---@return boolean #whether there was such a dead letter
function dead_letters.redrive(id, options) end

--- Decide to leave it, and take it off the list.
---@param id string of the dead letter
---@return boolean #whether there was such a dead letter
function dead_letters.discard(id) end

--- Lines for those who run the app: in the log of the server, or below the cell in a notebook,
--- where warnings and errors go to stderr and all else to stdout.
---
--- A run may write `PICLOUD_RUN_LOG_LINES_MAX` lines and `PICLOUD_RUN_LOG_KB` KiB of them, lines of `print` included; the
--- rest is left out, which a last line says. A line of the server's log stays one line: line breaks, other control
--- characters and those that turn the direction of text are written as in JSON there (`\n`, `\u001b`). So nobody whose
--- text a script logs can make up lines of others. What is logged is for people: no script can read it.
log = {}

--- Log what helps to find a fault; the server leaves these lines out unless it is told to keep them.
---@param message? any what happened; what is no string is written as `tostring` has it
---@param fields? any details, usually a table with names, written as JSON; of a value JSON cannot hold only the reason is written
function log.debug(message, fields) end

--- Log what happened.
---@param message? any what happened; what is no string is written as `tostring` has it
---@param fields? any details, usually a table with names, written as JSON; of a value JSON cannot hold only the reason is written
function log.info(message, fields) end

--- Log what somebody should look at.
---@param message? any what happened; what is no string is written as `tostring` has it
---@param fields? any details, usually a table with names, written as JSON; of a value JSON cannot hold only the reason is written
function log.warn(message, fields) end

--- Log what failed. The run goes on; Lua's own `error` ends it.
---@param message? any what happened; what is no string is written as `tostring` has it
---@param fields? any details, usually a table with names, written as JSON; of a value JSON cannot hold only the reason is written
function log.error(message, fields) end

--- Numbers, identifiers and secrets nobody can guess: all of it comes from the system's cryptographic generator.
---
--- Within a test, and the endpoints it calls, it comes from the test's name instead, so that a test gets the same values
--- each time it runs; `random.seed` chooses others. Lua's own `math.random` is made for simulations: it is fast, and who
--- sees some of its numbers can know the next. In a test it repeats as well.
random = {}

--- Return random bytes.
---@param count integer how many, from 0 to 1048576
---@return string #the bytes
function random.bytes(count) end

--- Return a random integer from `min` to `max`, both included; any two integers of 64 bits will do.
---@param min integer the least it can be
---@param max integer the most it can be; not less than `min`
---@return integer #an integer, each with the same probability
function random.integer(min, max) end

--- Return a random fraction: a multiple of 2^-53, each with the same probability.
---@return number #a number from 0 to 1, 0 included and 1 not
function random.number() end

--- Return a random UUID ([RFC 9562](https://www.rfc-editor.org/rfc/rfc9562), version 4).
---@return string #36 characters, lower case
function random.uuid() end

--- Return a UUID that begins with the time ([RFC 9562](https://www.rfc-editor.org/rfc/rfc9562), version 7).
---
--- Texts sort by when they were made, to the millisecond; within one run each is greater than the one before, also when
--- the clock of the system is set back meanwhile. Who sees one knows when it was made.
---@return string #36 characters, lower case
function random.uuid_v7() end

--- Return a random text that can stand in a URL, for links and sessions; keep secrets at 16 bytes or more.
---@param bytes? integer how many random bytes it holds, from 1 to 1024
---@return string #letters, digits, `-` and `_`: four for three bytes
function random.token(bytes) end

--- Return a list in a random order, each order with the same probability.
---@param list any[] any values; it stays as it is
---@return any[] #a new list of the same values
function random.shuffle(list) end

--- Return one item of a list, each with the same probability.
---@param list any[] any values, at least one
---@return any #one of the values
function random.choice(list) end

--- Choose the values this namespace gives from now on, in this test and the endpoints it calls.
---@param number integer any integer; the same one gives the same values
function random.seed(number) end

--- The clock, dates as text, and calendars in all time zones.
---
--- A time is a number, seconds since 1970-01-01T00:00:00Z with a fraction, as `os.time()` has them: compare and subtract
--- times as numbers. Leap seconds are not counted, as everywhere in computing. A number holds microseconds until the year
--- 2106; these functions work in nanoseconds, within the years 0000 to 9999, with the Gregorian calendar for
--- all of them. What is read or computed is an integer when it is a whole number.
---
--- A `zone` is a name of the [tz database](https://www.iana.org/time-zones), such as `Europe/Berlin`; PiCloud brings its
--- own copy. An `offset` is the number of seconds that clocks are ahead of UTC. Where clocks are put forward they skip an
--- hour, and where they are put back they show one twice: `disambiguation` then says which time is meant, as in
--- ECMAScript's Temporal.
---
--- - `compatible`, the default: of two times the earlier one; a skipped time counts on from before the gap, so 02:30
---   becomes 03:30.
--- - `earlier` and `later`: of two times that one; a skipped time moves back or forward by the length of the gap.
--- - `reject`: an error.
---
--- In a test the clock stands still, at the time the test began, also in the endpoints it calls, and so do `os.time`,
--- `os.date` and `os.clock`. `time.freeze` and `time.advance` set it.
time = {}

--- Return what time it is.
---@return number #seconds since 1970, to the microsecond
function time.now() end

--- Return seconds for measuring how long something takes: unlike `time.now` they never go back.
---
--- In a test they stand still but for `time.advance`, as `os.clock` does.
---@return number #seconds since some moment, which is another one in other runs
function time.monotonic() end

--- Read a time as [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) writes it, and nothing else.
---
--- `T` and `Z` may be lower case, a fraction may have any number of digits. `-00:00` says that the local time is not
--- known (section 4.3). A leap second is accepted where there can be one, at 23:59:60 UTC on the last day of a month,
--- and is the same number as the second after it.
---@param text string such as `2026-07-31T14:00:00.25+02:00`; at most 1024 characters
---@return number #seconds since 1970; and the offset of the text from UTC in seconds, nil for `-00:00`
---@return integer?
function time.parse(text) end

---@class TimeFormatOptions
---@field zone? string name of a time zone, such as `Europe/Berlin`; left out: `UTC`
---@field offset? integer in place of a zone, seconds that clocks are ahead of UTC
---@field precision? integer digits of the fraction, from 0 to 9, the rest is cut off; left out: all there are

--- Write a time as RFC 3339 does; `time.parse` gives the same time again.
---
--- Texts in UTC with the same `precision` sort like the times. An offset is written in whole minutes: clocks of a zone
--- that were at other offsets, as most before 1900, are written at the nearest one.
---@param at number a time in seconds since 1970
---@param options? TimeFormatOptions
---@return string #such as `2026-07-31T12:00:00Z`, or `2026-07-31T14:00:00+02:00` with a zone or an offset
function time.format(at, options) end

---@class TimeAddOptions
---@field years? integer 12 months each
---@field months? integer a day the month does not have becomes its last
---@field weeks? integer 7 days each
---@field days? integer at the same time of day in the zone, even if that is 23 or 25 hours later
---@field hours? number 3600 seconds each; a fraction will do
---@field minutes? number 60 seconds each; a fraction will do
---@field seconds? number a fraction will do
---@field zone? string name of a time zone, such as `Europe/Berlin`; left out: `UTC`
---@field disambiguation? string which time is meant when clocks show it twice or never: `compatible`, `earlier`, `later` or `reject`

--- Go forward from a time, or back with negative numbers.
---
--- First years and months together, then weeks and days, on the calendar of the zone; then hours, minutes and seconds
--- as time that passes.
---@param at number a time in seconds since 1970
---@param options? TimeAddOptions
---@return number #the new time
function time.add(at, options) end

---@class TimeDiffOptions
---@field zone? string name of a time zone, such as `Europe/Berlin`; left out: `UTC`
---@field largest? string the largest unit counted: the ones above it are 0

--- Tell what to add to a time on the calendar of a zone to reach another; `b - a` is the seconds between them.
---
--- As many of the larger units as fit come first. `time.add` with the result and the same zone gives `b`.
---@param a number the time to start at, in seconds since 1970
---@param b number the time to reach; all is negative when it is before `a`
---@param options? TimeDiffOptions
---@return any #`years`, `months`, `days`, `hours`, `minutes` and `seconds`, none of them of another sign than the others
function time.diff(a, b, options) end

---@class TimePartsOptions
---@field zone? string name of a time zone, such as `Europe/Berlin`; left out: `UTC`
---@field offset? integer in place of a zone, seconds that clocks are ahead of UTC

--- Tell what calendar and clock show at a time.
---@param at number a time in seconds since 1970
---@param options? TimePartsOptions
---@return any #`year`, `month`, `day`, `hour`, `minute`, `second` and `nanosecond`, all integers; `weekday`, 1 for Monday to 7 for Sunday; `yearday`, 1 for the first of January; `offset` in seconds; with a zone its name as `zone` and the `abbreviation` of its time
function time.parts(at, options) end

---@class TimeFromPartsOptions
---@field year integer from 0 to 9999
---@field month? integer from 1 to 12
---@field day? integer from 1 to the month's last
---@field hour? integer from 0 to 23
---@field minute? integer from 0 to 59
---@field second? integer from 0 to 59
---@field nanosecond? integer from 0 to 999999999
---@field zone? string name of a time zone, such as `Europe/Berlin`; left out: `UTC`
---@field offset? integer seconds that clocks are ahead of UTC; together with a zone it only says which time is meant when the clocks show it twice
---@field disambiguation? string which time is meant when clocks show it twice or never: `compatible`, `earlier`, `later` or `reject`
---@field weekday? any as `time.parts` gives it; not looked at
---@field yearday? any as `time.parts` gives it; not looked at
---@field abbreviation? any as `time.parts` gives it; not looked at

--- Tell which time it is when calendar and clock show this: the inverse of `time.parts`.
---@param options TimeFromPartsOptions
---@return number #seconds since 1970
function time.from_parts(options) end

--- Set the clock, for this test and the endpoints it calls. It stands still.
---@param at? any seconds since 1970, or text as for `time.parse`; left out: where it is
function time.freeze(at) end

--- Put the clock forward, for this test and the endpoints it calls.
---@param seconds number not negative; microseconds count
function time.advance(seconds) end

--- JSON ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)), strict both ways. An object is a table with strings as keys, an array a table with the keys 1 to n, null is `json.null`. Integers of 64 bits stay integers and floats stay floats: `1` and `1.0` are two texts. An empty table is written as `{}`, `json.array{}` as `[]`, and arrays that were read stay arrays. The same codec makes answers of tables and stores values in `kv` and `docs`.
json = {}

--- Null as a value in a table, where nil would be no value at all. It is equal to itself only, and true in a condition: compare with `== json.null`.
json.null = nil

--- Write a value as JSON.
---
--- Equal values give equal texts. A float is written with as many digits as it takes to read the same float back, at
--- least one of them after the point.
---@param value? any any value JSON can hold; nil counts as null
---@return string #the text, without whitespace; the keys of an object are sorted by their bytes
function json.encode(value) end

--- Write a value as JSON for people: one line per item, indented by two spaces.
---@param value? any any value JSON can hold; nil counts as null
---@return string #the text
function json.pretty(value) end

--- Read JSON.
---
--- Where the RFC leaves a choice: of several members of one name the last counts. An integer is one if it has neither
--- fraction nor exponent and fits in 64 bits; longer ones become floats. A `\u` escape that is half of a surrogate
--- pair is refused, since no text holds it.
---@param text string one JSON value, in UTF-8 without a byte order mark
---@return any #the value; null is `json.null`
function json.decode(text) end

--- Mark a table as an array, so that it is one in JSON also while it is empty.
---@param items? any a table with the keys 1 to n; a new one when left out
---@return any #the same table
function json.array(items) end

--- Bytes as text of 64 characters ([RFC 4648](https://www.rfc-editor.org/rfc/rfc4648), sections 4 and 5). Reading is strict: each sequence of bytes has one text only.
base64 = {}

--- Write bytes with the standard alphabet: four characters for three bytes, with padding.
---@param data string any bytes
---@return string #the text, padded with '='
function base64.encode(data) end

--- Read what `base64.encode` writes, and nothing else.
---@param text string the standard alphabet, with its padding and without anything else
---@return string #the bytes
function base64.decode(text) end

--- Write bytes with the alphabet for URLs and file names, without padding.
---@param data string any bytes
---@return string #the text, without padding
function base64.url_encode(data) end

--- Read what `base64.url_encode` writes; all the padding may be there too.
---@param text string the alphabet for URLs, with all of its padding or none of it
---@return string #the bytes
function base64.url_decode(text) end

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

--- Addresses as browsers read them ([URL Standard](https://url.spec.whatwg.org)): parsed, built, joined, encoded. A text or query is 1 MiB at most.
url = {}

--- Read an address.
---
--- The parts: `href`, the whole address in its normal form; `scheme` in lower case; `username` and `password`,
--- empty for none; `host`, which is `hostname` and `port`; `hostname` in ASCII, IPv6 in brackets; `port`, an
--- integer, nil when it is the scheme's own; `path`; `query` without '?'; `fragment` without '#'; `origin`, nil for
--- schemes that have none. `host` and `hostname` are nil when the address has no '//', `query` and `fragment` when
--- there is no '?' or '#'. Parts are as they stand in the address: `url.decode` and `url.decode_query` read them.
---@param text string an absolute address, or one relative to `base`
---@param base? string an absolute address
---@return any? #a table of its parts; nil when the text is no address
function url.parse(text, base) end

--- Say where a link leads.
---
--- A relative address can lead to any host ('//other/x') and out of any directory ('../'): check the result when the
--- text comes from someone else.
---@param base string an absolute address
---@param relative string what a page at `base` links to; an absolute address leads away from `base`
---@return string? #the absolute address in its normal form; nil when there is none
function url.join(base, relative) end

--- Make an address of its parts.
---
--- What a part may not hold is percent-encoded, so none of them can end early and begin another; '%' is left as it is.
--- A hostname that would, or that is percent-encoded, is refused. It is written in its normal form ('0x7f.1' is
--- 127.0.0.1, some characters vanish): check `url.parse(result).hostname`, not the text you had. A path is resolved as
--- everywhere in addresses: encoding does not keep '..' from leading upwards. `host`, `href` and `origin` follow from
--- the others and are not looked at, so what `url.parse`
--- returned can be changed and built again.
---@param parts any the parts, as `url.parse` has them; `query` may be a table for `url.encode_query`
---@return string #the address in its normal form
function url.build(parts) end

--- Percent-encode all but A-Z, a-z, 0-9, '-', '.', '_' and '~', for one segment of a path or any other part.
---@param text string text, or any bytes
---@return string #ASCII text
function url.encode(text) end

--- Read percent-encoded text back.
---
--- As the standard has it, a '%' that two hexadecimal digits do not follow stands for itself, and so does '+'. The
--- result may be any bytes, also such as are not UTF-8.
---@param text string percent-encoded text
---@return string #the bytes
function url.decode(text) end

--- Write fields as forms do (application/x-www-form-urlencoded): sorted by name, each list in its order.
---@param fields any names with strings, numbers, booleans, or lists of them for a name that comes repeatedly
---@return string #the query, without '?'
function url.encode_query(fields) end

---@class UrlDecodeQueryOptions
---@field all? boolean give a list of all values for each name, instead of the first value

--- Read fields as forms send them (application/x-www-form-urlencoded).
---
--- A name without '=' has an empty value; '+' is a space; a broken escape stands for itself, bytes that are not UTF-8
--- become U+FFFD. Which type a value has never depends on what was sent.
---@param text string a query without '?', or a form's body
---@param options? UrlDecodeQueryOptions
---@return any #a table of values by name
function url.decode_query(text, options) end

--- Regular expressions as [RE2](https://github.com/google/re2/wiki/Syntax) reads them: what Perl has except back-references and look-around, and each search takes time linear in the text. Positions are bytes counted from 1, as in Lua's `string` functions. Pattern and text are UTF-8; with `bytes` both are any bytes, each one character.
---
--- A match is a table: `text`; `start` and `stop`, its first and last byte, where an empty match has `stop = start - 1`; `groups`, a list of what each group matched, false for a group that took no part; `named`, the same by name, without those groups, the first of one name. `spans`, with the option of that name, has `{ start = ..., stop = ... }` for each group, or false.
---
--- Functions that find many matches go from left to right; an empty match right after another does not count.
regex = {}

---@class RegexTestOptions
---@field ignore_case? boolean let letters match both cases
---@field multiline? boolean let ^ and $ match at the start and end of lines too
---@field dot_all? boolean let . match newlines too
---@field longest? boolean of the matches that start leftmost take the longest, not the one Perl would
---@field bytes? boolean take pattern and text as bytes, each one character, instead of UTF-8

--- Tell whether a pattern matches anywhere in a text; `^` and `$` tie it to start and end.
---@param pattern string what to look for
---@param text string where
---@param options? RegexTestOptions
---@return boolean #whether there is a match
function regex.test(pattern, text, options) end

---@class RegexMatchOptions
---@field ignore_case? boolean let letters match both cases
---@field multiline? boolean let ^ and $ match at the start and end of lines too
---@field dot_all? boolean let . match newlines too
---@field longest? boolean of the matches that start leftmost take the longest, not the one Perl would
---@field bytes? boolean take pattern and text as bytes, each one character, instead of UTF-8
---@field spans? boolean give the positions of groups too

--- Find the first match.
---@param pattern string what to look for
---@param text string where
---@param options? RegexMatchOptions
---@return any? #the match; nil when there is none
function regex.match(pattern, text, options) end

---@class RegexFindAllOptions
---@field max? integer the most matches to find, 1 or more; all when left out
---@field ignore_case? boolean let letters match both cases
---@field multiline? boolean let ^ and $ match at the start and end of lines too
---@field dot_all? boolean let . match newlines too
---@field longest? boolean of the matches that start leftmost take the longest, not the one Perl would
---@field bytes? boolean take pattern and text as bytes, each one character, instead of UTF-8
---@field spans? boolean give the positions of groups too

--- Find all matches that do not overlap.
---
--- Each search is linear, but a pattern that looks at the whole rest of the text for every match takes quadratic time
--- in all; the limits of the run end it.
---@param pattern string what to look for
---@param text string where
---@param options? RegexFindAllOptions
---@return table[] #a list of matches, in order
function regex.find_all(pattern, text, options) end

---@class RegexReplaceOptions
---@field max? integer the most replacements, 1 or more; all when left out
---@field ignore_case? boolean let letters match both cases
---@field multiline? boolean let ^ and $ match at the start and end of lines too
---@field dot_all? boolean let . match newlines too
---@field longest? boolean of the matches that start leftmost take the longest, not the one Perl would
---@field bytes? boolean take pattern and text as bytes, each one character, instead of UTF-8

--- Replace matches.
---@param pattern string what to look for
---@param text string where
---@param replacement any a text, where %0 stands for the match, %1 to %9 and %{name} or %{number} for a group, empty for one that took no part, and %% for '%'; or a function that gets the match and returns a text or a number, nil to leave it
---@param options? RegexReplaceOptions
---@return string #the new text, and how often it was replaced
---@return integer
function regex.replace(pattern, text, replacement, options) end

---@class RegexSplitOptions
---@field max? integer the most splits, 1 or more; the last piece holds the rest
---@field ignore_case? boolean let letters match both cases
---@field multiline? boolean let ^ and $ match at the start and end of lines too
---@field dot_all? boolean let . match newlines too
---@field longest? boolean of the matches that start leftmost take the longest, not the one Perl would
---@field bytes? boolean take pattern and text as bytes, each one character, instead of UTF-8

--- Cut a text at each match. An empty match cuts between two characters, not at the start or end of the text.
---@param pattern string what lies between the pieces
---@param text string what to cut
---@param options? RegexSplitOptions
---@return string[] #a list of the texts between matches, one more than there are splits
function regex.split(pattern, text, options) end

--- Make a pattern that matches a text and nothing else.
---@param text string any text
---@return string #the pattern
function regex.escape(text) end
