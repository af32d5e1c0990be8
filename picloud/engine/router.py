"""Find the route of a path: literal segments before `:name`, `:name` before `*rest`, the leftmost segment first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote

from picloud.errors import MethodNotAllowed, NotFound
from picloud.model.route import METHODS, Route, split_path


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    rest: dict[str, Route] = field(default_factory=dict)
    routes: dict[str, Route] = field(default_factory=dict)


def no_route(path: str) -> NotFound:
    """Return the answer for a path without a route, be it that there is no such app."""
    return NotFound(f"No route answers {path[:200]}: check the name of the app and the path.")


class Router:
    """The routes of one app, made once per revision; safe to share between threads."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            self._add(route)

    def match(
        self, method: str, path: str, may_know: Callable[[Route], bool] = lambda _route: True
    ) -> tuple[Route, dict[str, str]]:
        """Return the route for a decoded path and the values of its parameters.

        A HEAD request is answered by the GET route when there is no HEAD route. Raises `NotFound`, or
        `MethodNotAllowed` when the path has routes for other methods only; it names those the caller may know of.
        """
        found: list[dict[str, Route]] = []
        for routes, values in _candidates(self._root, split_path(path), 0, ()):
            found.append(routes)
            route = routes.get(method) or (routes.get("GET") if method == "HEAD" else None)
            if route is not None:
                return route, dict(zip(route.parameters, values, strict=True))
        allowed = {name for routes in found for name, route in routes.items() if may_know(route)}
        if not allowed:
            raise no_route(path)
        if "GET" in allowed:
            allowed.add("HEAD")
        raise MethodNotAllowed(tuple(name for name in METHODS if name in allowed))

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in route.segments:
            if segment[:1] == "*":
                node.rest[route.method] = route
                return
            if segment[:1] == ":":
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(unquote(segment), _Node())
        node.routes[route.method] = route


def _candidates(
    node: _Node, segments: tuple[str, ...], at: int, values: tuple[str, ...]
) -> Iterable[tuple[dict[str, Route], tuple[str, ...]]]:
    """Yield the routes of every pattern that fits, most specific first, with the parameter values."""
    if at == len(segments):
        if node.routes:
            yield node.routes, values
        return
    segment = segments[at]
    if (literal := node.literals.get(segment)) is not None:
        yield from _candidates(literal, segments, at + 1, values)
    if node.parameter is not None and segment:
        yield from _candidates(node.parameter, segments, at + 1, (*values, segment))
    if node.rest and (rest := "/".join(segments[at:])):
        yield node.rest, (*values, rest)
