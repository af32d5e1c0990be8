"""What `queue`, `pubsub` and `dead_letters` share: names, sizes and ids of messages."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from picloud.errors import InvalidInput
from picloud.model.trigger import CHANNEL_NAME
from picloud.sdk.random import uuid_v7
from picloud.sdk.run import Run
from picloud.sdk.spec import Data
from picloud.storage.kv import Content

MESSAGE_MAX_BYTES: Final = 256 * 1024
BATCH_MAX: Final = 1000
BATCH_MAX_BYTES: Final = 4 * 1024 * 1024


def check_name(name: str, what: str) -> str:
    """Return the name of a queue or topic; raise `InvalidInput` when it cannot be one."""
    if not CHANNEL_NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:80]!r} cannot name a {what}: use 1 to 128 letters, digits, '_', '.' and '-', a letter or '_' first"
        )
    return name


def _content(message: Data) -> Content:
    size = len(message.content)
    if size > MESSAGE_MAX_BYTES:
        raise InvalidInput(f"the message has {size} bytes, more than the {MESSAGE_MAX_BYTES} allowed")
    return Content(message.is_json, message.content)


def batch_of(run: Run, messages: list[Data]) -> list[tuple[UUID, Content]]:
    """Return messages with new ids; raise `InvalidInput` when they are too many or too large."""
    if len(messages) > BATCH_MAX:
        raise InvalidInput(f"more than {BATCH_MAX} messages")
    batch = [(UUID(uuid_v7(run)), _content(message)) for message in messages]
    if sum(len(content.content) for _, content in batch) > BATCH_MAX_BYTES:
        raise InvalidInput(f"the messages have more than {BATCH_MAX_BYTES} bytes in all")
    return batch
