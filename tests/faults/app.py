"""The app of the drill: an endpoint that causes events of every kind, and triggers that keep books of what they saw.

All a request causes is one transaction, with an entry in the ledger. Scripts say which run began (`starts`), and once
per event what is done with it (`done/TRIGGER/EVENT`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

APP: Final = "drill"
PATH: Final = "/cause"
KEYS: Final = 8
CANCELLING: Final = "cancelling"
"""The schedule of which each third tick takes so long that the next one ends its run."""
OUTLAST: Final = """local began, tick = time.now(), event.tick.scheduled_at
for _ = 1, tick % 3 == 0 and 4000 or 0 do
  kv.get("nothing")
  if time.now() > began + 1.5 then break end
end
"""
FAILS_MAX: Final = 2
SLOW_CALLS: Final = 400
"""Calls of the SDK a slow run makes: long enough to be cut off."""

BOOKS = """%%module books
local M = {}
local function entry(trigger, e, cause)
  return {
    trigger = trigger, event = e.id, attempt = e.attempt, request = cause.request, part = cause.part or 1,
    key = cause.key, seq = cause.seq,
  }
end
function M.begin(trigger, e, cause)
  local note = entry(trigger, e, cause)
  if cause.key then note.order = kv.incr("order:" .. trigger .. ":" .. cause.key) end
  docs.insert("starts", note)
end
function M.done(trigger, e, cause, also)
  local note = entry(trigger, e, cause)
  note.delay = time.now() - e.sent_at
  transaction(function()
    local is_first = kv.set("done/" .. trigger .. "/" .. e.id, note, { only_if_absent = true })
    if is_first and also then also() end
  end)
end
function M.take(trigger, e, cause, also)
  M.begin(trigger, e, cause)
  M.done(trigger, e, cause, also)
end
return M"""

CAUSE = f"""%%endpoint cause POST {PATH}
local r = request.json
transaction(function()
  local seq = kv.incr("seq:" .. r.key)
  local function cause(part) return {{ request = r.id, key = r.key, seq = seq, fails = r.fails, part = part }} end
  docs.insert("ledger", {{ fails = r.fails, doomed = r.doomed }}, {{ id = r.id }})
  kv.set("item:" .. r.key, cause())
  if seq == 1 then docs.insert("items", cause(), {{ id = r.key }}) else docs.replace("items", r.key, cause()) end
  queue.send("single", {{ request = r.id }})
  queue.send("brief", {{ request = r.id }})
  queue.send_many("many", {{ cause(1), cause(2), cause(3) }})
  pubsub.publish("news", {{ request = r.id }})
  if r.doomed then queue.send("doomed", {{ request = r.id }}) end
end)
return {{ done = true }}"""

# Without retries a fault of the platform that is charged makes a dead letter, which tells all about it.
TRIGGERS = (
    '%%trigger kept kv item:* retries=0\nrequire("books").take("kept", event, event.value)',
    """%%trigger flaky kv item:* retries=2 backoff=0.2
local books = require("books")
books.begin("flaky", event, event.value)
if event.attempt <= event.value.fails then error("on purpose") end
books.done("flaky", event, event.value)""",
    '%%trigger filed docs items on=insert,update retries=0\nrequire("books").take("filed", event, event.after)',
    """%%trigger single queue single retries=0
require("books").take("single", event, event.message, function() queue.send("chained", event.message) end)""",
    '%%trigger chained queue chained retries=0\nrequire("books").take("chained", event, event.message)',
    '%%trigger brief queue brief retries=0 timeout=1.5\nrequire("books").take("brief", event, event.message)',
    """%%trigger many queue many batch=10 wait=0.3 retries=2
local books = require("books")
for _, m in ipairs(event.messages) do
  local cause = { request = m.message.request, part = m.message.part }
  books.begin("many", m, cause)
  if m.attempt <= m.message.fails then m:retry(0.2) else books.done("many", m, cause) end
end""",
    '%%trigger fast topic news retries=0\nrequire("books").take("fast", event, event.message)',
    f"""%%trigger slow topic news retries=0
local books = require("books")
books.begin("slow", event, event.message)
for i = 1, {SLOW_CALLS} do kv.get("nothing") end
books.done("slow", event, event.message)""",
    """%%trigger doomed queue doomed retries=2 backoff=0.2
require("books").begin("doomed", event, event.message)
error("on purpose")""",
    """%%trigger mourner dead_letter retries=0
require("books").take("mourner", event, { request = event.dead_letter.id })""",
)
SCHEDULES: Final = {"skipping": "", "queueing": "overlap=queue catch_up=all", CANCELLING: "overlap=cancel"}
"""Cron triggers, with their options."""
EACH_SECOND: Final = "* * * * * *"
HARDLY_EVER: Final = "0 0 29 2 *"


def cells(schedule: str) -> list[str]:
    """Return all the app consists of, with a cron expression for its schedules."""
    ticking = (
        f'%%trigger {name} cron "{schedule}" {options} retries=0\n{OUTLAST if name == CANCELLING else ""}'
        f'require("books").take("{name}", event, {{ request = tostring(event.tick.scheduled_at) }})'
        for name, options in SCHEDULES.items()
    )
    return [BOOKS, CAUSE, *TRIGGERS, *ticking]


@dataclass(frozen=True, slots=True)
class Duty:
    """One event on its way to one trigger, as an entry of the ledger calls for it."""

    trigger: str
    request: str
    part: int
    """Which of several events of the request for this trigger."""
    failures: int
    """Attempts that the script fails by itself."""
    dies: bool
    """Whether it ends as a dead letter."""


def duties(request: str, fails: int, doomed: bool) -> list[Duty]:
    """Return what must come of a request that happened."""
    plain = ("kept", "filed", "single", "chained", "brief", "fast", "slow")
    return [
        *(Duty(trigger, request, 1, 0, False) for trigger in plain),
        Duty("flaky", request, 1, fails, False),
        *(Duty("many", request, part, fails, False) for part in (1, 2, 3)),
        *([Duty("doomed", request, 1, 3, True)] if doomed else []),
    ]
