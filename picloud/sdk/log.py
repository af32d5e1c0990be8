"""`log`: lines for the log of the server, or of the notebook. The functions are the prelude's."""

from __future__ import annotations

from typing import Annotated

from picloud.sdk.spec import Namespace, Value, made_in_lua

log = Namespace(
    "log",
    """Lines for those who run the app: in the log of the server, or below the cell in a notebook,
where warnings and errors go to stderr and all else to stdout.

A run may write `PICLOUD_RUN_LOG_LINES_MAX` lines and `PICLOUD_RUN_LOG_KB` KiB of them, lines of `print` included; the
rest is left out, which a last line says. A line of the server's log stays one line: line breaks, other control
characters and those that turn the direction of text are written as in JSON there (`\\n`, `\\u001b`). So nobody whose
text a script logs can make up lines of others. What is logged is for people: no script can read it.""",
)

Message = Annotated[Value | None, "what happened; what is no string is written as `tostring` has it"]
Fields = Annotated[
    Value | None,
    "details, usually a table with names, written as JSON; of a value JSON cannot hold only the reason is written",
]


@log.function(lua="", example='log.debug("cache miss", { key = "user:1" })')
def debug(message: Message, fields: Fields = None) -> None:
    """Log what helps to find a fault; the server leaves these lines out unless it is told to keep them."""
    made_in_lua(message, fields)


@log.function(lua="", example='log.info("order placed", { id = 17, total = 12.5 })')
def info(message: Message, fields: Fields = None) -> None:
    """Log what happened."""
    made_in_lua(message, fields)


@log.function(lua="", example='log.warn("no stock", { item = "tea" })')
def warn(message: Message, fields: Fields = None) -> None:
    """Log what somebody should look at."""
    made_in_lua(message, fields)


@log.function(lua="", example='log.error("payment refused", { id = 17 })')
def error(message: Message, fields: Fields = None) -> None:
    """Log what failed. The run goes on; Lua's own `error` ends it."""
    made_in_lua(message, fields)
