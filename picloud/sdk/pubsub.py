"""`pubsub`: messages that every trigger of a topic gets."""

from __future__ import annotations

from typing import Annotated

from picloud.sdk.messages import MESSAGE_MAX_BYTES, batch_of, check_name
from picloud.sdk.run import Run
from picloud.sdk.spec import Data, Namespace
from picloud.storage import events

pubsub = Namespace(
    "pubsub",
    f"""Messages that every trigger of their topic gets.

A message is anything JSON can hold, or a string of any bytes, of at most {MESSAGE_MAX_BYTES // 1024} KiB. Once a call
has returned, the message is kept, whatever happens; inside a `transaction` it is kept when that is.""",
)


@pubsub.function(
    returns="the message's id",
    example="""
    pubsub.publish("orders.placed", { number = 7 })
    """,
)
def publish(
    run: Run,
    topic: Annotated[str, "letters, digits, `_`, `.` and `-`, at most 128"],
    message: Annotated[Data, "what JSON can hold, or a string of any bytes"],
) -> str:
    """Publish one message."""
    now_s = run.now_s()
    [(identity, content)] = batch_of(run, [message])
    events.send(run.data, "topic", check_name(topic, "topic"), [(identity, content)], now_s=now_s, due_s=now_s)
    return str(identity)
