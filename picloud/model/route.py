"""Routes: which script answers which method and path of an app.

A pattern is a path of segments: literal text, `:name` (one non-empty segment) or, last only, `*name` (the rest, at
least one character). Two routes of one method with the same shape, that is equal but for the names, are ambiguous.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from picloud.errors import InvalidRoute

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD")
PATTERN_MAX_LENGTH = 1024
SEGMENTS_MAX = 32

_LITERAL = re.compile(r"[A-Za-z0-9._~!$&'()+,;=@%-]+", re.ASCII)
_PARAMETER = re.compile(r"[:*][a-zA-Z_][a-zA-Z0-9_]{0,63}", re.ASCII)


class RouteAuth(StrEnum):
    """Who may call a route."""

    PUBLIC = "public"
    TOKEN = "token"  # noqa: S105  (the name of a policy)


@dataclass(frozen=True, slots=True, order=True)
class Route:
    """One method and path pattern bound to an endpoint script."""

    method: str
    pattern: str
    """As written by the author, e.g. `/users/:id`."""
    script: str
    """Name of the endpoint script."""
    auth: RouteAuth = RouteAuth.PUBLIC
    timing: bool = False
    """Whether callers are told what the run used, as `Server-Timing`: it lets them measure what a script does."""

    @property
    def shape(self) -> str:
        """The pattern with its parameter names left out: what makes two routes ambiguous."""
        return "/" + "/".join(s[0] if s[:1] in (":", "*") else s for s in self.segments)

    @property
    def segments(self) -> tuple[str, ...]:
        """The pattern's segments; empty for `/`."""
        return split_path(self.pattern)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the `:name` and `*name` segments, in order."""
        return tuple(s[1:] for s in self.segments if s[:1] in (":", "*"))


def split_path(path: str) -> tuple[str, ...]:
    """Return the segments of a path that starts with `/`; a trailing slash makes a last, empty segment."""
    return tuple(path[1:].split("/")) if path != "/" else ()


def check_route(method: str, pattern: str, script: str, auth: str = "public", timing: bool = False) -> Route:
    """Return the route when method, pattern and access are valid, else raise `InvalidRoute` with what to change."""
    where = f"{method} {pattern}"[:120]
    if method not in METHODS:
        raise InvalidRoute(f"{where}: unknown method; use one of {', '.join(METHODS)} in capitals.")
    if not pattern.startswith("/"):
        raise InvalidRoute(f"{where}: a path starts with '/'.")
    if len(pattern) > PATTERN_MAX_LENGTH or pattern.count("/") > SEGMENTS_MAX:
        raise InvalidRoute(f"{where}: a path has at most {PATTERN_MAX_LENGTH} characters and {SEGMENTS_MAX} segments.")
    try:
        route = Route(method, pattern, script, RouteAuth(auth), timing)
    except ValueError:
        raise InvalidRoute(f"{where}: auth={auth[:40]!r} is unknown; use auth=public or auth=token.") from None
    _check_segments(where, route)
    return route


def _check_segments(where: str, route: Route) -> None:
    segments = route.segments
    for number, segment in enumerate(segments):
        if segment[:1] in (":", "*"):
            if not _PARAMETER.fullmatch(segment):
                raise InvalidRoute(
                    f"{where}: {segment!r} needs a name of letters, digits and '_' after '{segment[0]}'."
                )
            if segment[0] == "*" and number != len(segments) - 1:
                raise InvalidRoute(f"{where}: {segment!r} takes the rest of the path, so it must come last.")
        elif segment in (".", ".."):
            raise InvalidRoute(f"{where}: {segment!r} is resolved by clients and would never arrive here.")
        elif not _LITERAL.fullmatch(segment):
            last_slash = segment == "" and number == len(segments) - 1
            hint = "leave the last '/' out" if last_slash else "use letters, digits and . _ ~ - and percent-escapes"
            raise InvalidRoute(f"{where}: segment {segment!r} is not valid; {hint}.")
    if len(set(route.parameters)) != len(route.parameters):
        raise InvalidRoute(f"{where}: each parameter needs a name of its own.")
