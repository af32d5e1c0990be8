"""`random`: numbers, identifiers and secrets nobody can guess."""

from __future__ import annotations

import base64
import hashlib
import itertools
import uuid
from collections.abc import Callable
from typing import Annotated, Final

from picloud.errors import InvalidInput
from picloud.sdk.run import Run
from picloud.sdk.spec import Data, Namespace, Phase, made_in_lua

BYTES_MAX: Final = 1024 * 1024
"""Of one call of `random.bytes`."""
TOKEN_BYTES: Final = 32
TOKEN_MAX_BYTES: Final = 1024
TIME_BITS: Final = 48
"""Of the milliseconds in a UUID of version 7."""
STEP_BITS: Final = 32
"""Of the random step between two of the same millisecond: 2^74 are left for all of them."""

random_ = Namespace(
    "random",
    """Numbers, identifiers and secrets nobody can guess: all of it comes from the system's cryptographic generator.

Within a test, and the endpoints it calls, it comes from the test's name instead, so that a test gets the same values
each time it runs; `random.seed` chooses others. Lua's own `math.random` is made for simulations: it is fast, and who
sees some of its numbers can know the next. In a test it repeats as well.""",
)


def seeded(seed: bytes) -> Callable[[int], bytes]:
    """Return a source of bytes for `Run.seed` that gives the same for the same seed, on every machine (SHAKE-256)."""
    numbers = itertools.count()
    return lambda count: hashlib.shake_256(b"%d:%b" % (next(numbers), seed)).digest(count)


@random_.function(name="bytes", returns="the bytes", example="#random.bytes(16) --> 16")
def bytes_(run: Run, count: Annotated[int, f"how many, from 0 to {BYTES_MAX}"]) -> bytes:
    """Return random bytes."""
    if not 0 <= count <= BYTES_MAX:
        raise InvalidInput(f"count must be from 0 to {BYTES_MAX}")
    return run.random_bytes(count)


@random_.function(
    returns="an integer, each with the same probability",
    example="""
    local eyes = random.integer(1, 6)
    eyes >= 1 and eyes <= 6 --> true
    random.integer(7, 7) --> 7
    """,
)
def integer(
    run: Run,
    min: Annotated[int, "the least it can be"],  # noqa: A002  the name scripts know
    max: Annotated[int, "the most it can be; not less than `min`"],  # noqa: A002
) -> int:
    """Return a random integer from `min` to `max`, both included; any two integers of 64 bits will do."""
    if min > max:
        raise InvalidInput(f"min must not be more than max, got {min} and {max}")
    return min + below(run, max - min + 1)


def below(run: Run, count: int) -> int:
    """Return one of the first `count` integers from 0, all with the same probability.

    Draws as many bits as the largest has until they are one of them: one draw in two succeeds, or more.
    """
    bits = (count - 1).bit_length()
    size = (bits + 7) // 8
    while True:
        drawn = int.from_bytes(run.random_bytes(size)) >> (8 * size - bits)
        if drawn < count:
            return drawn


@random_.function(
    returns="a number from 0 to 1, 0 included and 1 not",
    example="""
    local part = random.number()
    part >= 0 and part < 1 --> true
    """,
)
def number(run: Run) -> float:
    """Return a random fraction: a multiple of 2^-53, each with the same probability."""
    return (int.from_bytes(run.random_bytes(7)) >> 3) / 2**53


@random_.function(
    name="uuid",
    returns="36 characters, lower case",
    example="""
    local id = random.uuid()
    #id --> 36
    id:sub(15, 15) --> "4"
    """,
)
def uuid_(run: Run) -> str:
    """Return a random UUID ([RFC 9562](https://www.rfc-editor.org/rfc/rfc9562), version 4)."""
    return str(uuid.UUID(bytes=run.random_bytes(16), version=4))


@random_.function(
    returns="36 characters, lower case",
    example="""
    local first, second = random.uuid_v7(), random.uuid_v7()
    first:sub(15, 15) --> "7"
    first < second --> true
    """,
)
def uuid_v7(run: Run) -> str:
    """Return a UUID that begins with the time ([RFC 9562](https://www.rfc-editor.org/rfc/rfc9562), version 7).

    Texts sort by when they were made, to the millisecond; within one run each is greater than the one before, also when
    the clock of the system is set back meanwhile. Who sees one knows when it was made.
    """
    drawn = int.from_bytes(run.random_bytes(10))
    fresh = (_milliseconds(run) << 74) | (drawn >> 6)
    step = 1 + (drawn & (2**STEP_BITS - 1))
    last = run.last_uuid_v7
    run.last_uuid_v7 = value = fresh if fresh >> 74 > last >> 74 else last + step
    high, low = value >> 62, value & (2**62 - 1)
    return str(uuid.UUID(int=(high >> 12) << 80 | 7 << 76 | (high & 0xFFF) << 64 | 2 << 62 | low))


def _milliseconds(run: Run) -> int:
    milliseconds = int(run.now_s() * 1000)
    if not 0 < milliseconds < 2**TIME_BITS - 1:
        raise InvalidInput("a UUID of version 7 has no time before 1970 or after 10889, where the clock is now")
    return milliseconds


@random_.function(
    returns="letters, digits, `-` and `_`: four for three bytes",
    example="#random.token() --> 43",
)
def token(
    run: Run,
    bytes: Annotated[int, f"how many random bytes it holds, from 1 to {TOKEN_MAX_BYTES}"] = TOKEN_BYTES,  # noqa: A002
) -> str:
    """Return a random text that can stand in a URL, for links and sessions; keep secrets at 16 bytes or more."""
    if not 1 <= bytes <= TOKEN_MAX_BYTES:
        raise InvalidInput(f"bytes must be from 1 to {TOKEN_MAX_BYTES}")
    return base64.urlsafe_b64encode(run.random_bytes(bytes)).rstrip(b"=").decode()


_SHUFFLE = """
function(list)
  if type(list) ~= "table" then bad("random.shuffle", "list", "a list", list) end
  local MOST <const> = 0x7FFFFFFFFFFFFFFF
  local shuffled, words, at = {}, "", 1
  for i = 1, #list do shuffled[i] = list[i] end
  for i = #shuffled, 2, -1 do
    local drawn, beyond = nil, MOST - MOST % i
    repeat -- what is beyond the last multiple of i would favour the first items
      if at > #words then words, at = host("random.bytes", 8 * (i < 1024 and i or 1024)), 1 end
      drawn, at = ("<i8"):unpack(words, at)
      drawn = drawn & MOST
    until drawn < beyond
    local j = drawn % i + 1
    shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
  end
  return shuffled
end
"""


@random_.function(
    lua=_SHUFFLE,
    returns="a new list of the same values",
    example="""
    local cards = random.shuffle({ "ace", "king", "queen" })
    #cards --> 3
    """,
)
def shuffle(list_: Annotated[list[Data], "any values; it stays as it is"]) -> list[Data]:
    """Return a list in a random order, each order with the same probability."""
    return made_in_lua(list_)


_CHOICE = """
function(list)
  if type(list) ~= "table" then bad("random.choice", "list", "a list", list) end
  local count = #list
  if count == 0 then fail("invalid_input", "random.choice: the list is empty") end
  return list[host("random.integer", 1, count)]
end
"""


@random_.function(
    lua=_CHOICE,
    returns="one of the values",
    errors={"invalid_input": "the list is empty"},
    example='random.choice({ "heads", "heads" }) --> "heads"',
)
def choice(list_: Annotated[list[Data], "any values, at least one"]) -> Data:
    """Return one item of a list, each with the same probability."""
    return made_in_lua(list_)


@random_.function(
    phases=frozenset({Phase.TEST}),
    example="""
    random.seed(1)
    local first = random.integer(1, 1000000)
    random.seed(1)
    random.integer(1, 1000000) == first --> true
    """,
)
def seed(run: Run, number: Annotated[int, "any integer; the same one gives the same values"]) -> None:
    """Choose the values this namespace gives from now on, in this test and the endpoints it calls."""
    run.seed(seeded(b"seed %d" % number))
