"""`queue`: messages that one trigger takes, one after the other."""

from __future__ import annotations

from typing import Annotated, Final

from picloud.errors import InvalidInput
from picloud.sdk.messages import BATCH_MAX, MESSAGE_MAX_BYTES, batch_of, check_name
from picloud.sdk.run import Run
from picloud.sdk.spec import Data, Namespace
from picloud.storage import events

DELAY_MAX_S: Final = 366 * 86400.0
DEDUPE_KEY_MAX_BYTES: Final = 256

queue = Namespace(
    "queue",
    f"""Messages that wait until a trigger takes them, each once.

A message is anything JSON can hold, or a string of any bytes, of at most {MESSAGE_MAX_BYTES // 1024} KiB. Once a call
has returned, the message is kept, whatever happens; inside a `transaction` it is kept when that is.""",
)

Name = Annotated[str, "letters, digits, `_`, `.` and `-`, at most 128"]
Delay = Annotated[float, "seconds before which it is not delivered, up to a year"]


@queue.function(
    returns="the message's id, or nil when a message with this `dedupe_key` waits already",
    example="""
    queue.send("mails", { to = "ada@example.org" }, { dedupe_key = "welcome:ada" })
    queue.send("mails", { to = "ada@example.org" }, { dedupe_key = "welcome:ada" }) --> nil
    queue.size("mails") --> 1
    """,
)
def send(
    run: Run,
    name: Name,
    message: Annotated[Data, "what JSON can hold, or a string of any bytes"],
    *,
    delay: Delay = 0.0,
    dedupe_key: Annotated[bytes | None, "1 to 256 bytes; while one message waits, others are left out"] = None,
) -> str | None:
    """Send one message."""
    if dedupe_key is not None and not 1 <= len(dedupe_key) <= DEDUPE_KEY_MAX_BYTES:
        raise InvalidInput(f"dedupe_key has 1 to {DEDUPE_KEY_MAX_BYTES} bytes, this one {len(dedupe_key)}")
    now_s = run.now_s()
    sent = events.send(
        run.data, "queue", check_name(name, "queue"), batch_of(run, [message]),
        now_s=now_s, due_s=now_s + _delay(delay), dedupe_key=dedupe_key,
    )  # fmt: skip
    return str(sent[0]) if sent else None


@queue.function(
    returns="the messages' ids, in their order",
    example="""
    #queue.send_many("numbers", { 1, 2, 3 }, { delay = 60 }) --> 3
    """,
)
def send_many(
    run: Run, name: Name, messages: Annotated[list[Data], f"at most {BATCH_MAX} messages"], *, delay: Delay = 0.0
) -> list[str]:
    """Send several messages at once: all of them or none."""
    batch, now_s = batch_of(run, messages), run.now_s()
    events.send(run.data, "queue", check_name(name, "queue"), batch, now_s=now_s, due_s=now_s + _delay(delay))
    return [str(identity) for identity, _ in batch]


@queue.function(returns="how many messages wait, those with a delay included", example='queue.size("empty") --> 0')
def size(run: Run, name: Name) -> int:
    """Count the messages that wait."""
    return events.count(run.data, "queue", check_name(name, "queue"))


def _delay(delay: float) -> float:
    if not 0 <= delay <= DELAY_MAX_S:
        raise InvalidInput("delay must be from 0 seconds to a year")
    return delay
