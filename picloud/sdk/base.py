"""What scripts reach without a namespace, beyond Lua's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from picloud.sdk.run import Run
from picloud.sdk.spec import Namespace, Value, made_in_lua

_TRANSACTION = """
function(body)
  if type(body) ~= "function" then bad("transaction", "body", "a function", body) end
  host("transaction.begin")
  local results
  gsub("x", "x", function() results = pack(pcall(body)) end) -- no coroutine can yield out of a function in C
  if results[1] then
    host("transaction.commit")
    return unpack(results, 2, results.n)
  end
  host("transaction.rollback")
  error(results[2] == YIELDED and "transaction: its function cannot yield" or results[2], 0)
end
"""
_LOCALS = """
local gsub, YIELDED = string.gsub, "attempt to yield across a C-call boundary"
"""

base = Namespace("", "Functions without a namespace.", lua=_LOCALS)


@base.function(
    lua=_TRANSACTION,
    returns="what the function returns",
    errors={"conflict": "another run changed the same things at the same time: try again"},
    example="""
    kv.set_many({ ada = 10, bob = 0 })
    transaction(function()
      kv.incr("ada", -3)
      kv.incr("bob", 3)
    end)
    kv.get_many({ "ada", "bob" }) --> { ada = 7, bob = 3 }
    """,
)
def transaction(body: Annotated[Callable, "called once, without arguments"]) -> Value | None:  # type: ignore[type-arg]
    """Do what a function does to `kv`, `docs`, `queue` and `pubsub` all at once, or not at all when it raises an error.

    Within, a run sees what it has written; others do not until the end. A transaction within another is undone alone
    when its error is caught. When a run ends inside, nothing of it is kept.
    """
    return made_in_lua(body)


@base.primitive("transaction.begin")
def begin(run: Run) -> None:
    """Start a transaction."""
    run.data.begin()


@base.primitive("transaction.commit")
def commit(run: Run) -> None:
    """Keep what it did."""
    run.data.commit()


@base.primitive("transaction.rollback")
def rollback(run: Run) -> None:
    """Undo what it did."""
    run.data.rollback()
