"""Which route answers: the most specific one, by method, with HEAD from GET."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.engine.router import Router
from picloud.errors import InvalidRoute, MethodNotAllowed, NotFound
from picloud.model.route import Route, check_route


def router(*routes: str) -> Router:
    """Make a router of `METHOD PATTERN` lines; each route's script is its line."""
    parts = (line.partition(" ") for line in routes)
    return Router(check_route(method, pattern, f"{method} {pattern}") for method, _, pattern in parts)


@pytest.mark.parametrize(
    ("path", "winner", "params"),
    [
        ("/", "GET /", {}),
        ("/users", "GET /users", {}),
        ("/users/me", "GET /users/me", {}),
        ("/users/ada", "GET /users/:id", {"id": "ada"}),
        ("/users/ada/posts", "GET /users/:id/posts", {"id": "ada"}),
        ("/users/me/posts", "GET /users/:id/posts", {"id": "me"}),
        ("/users/ada/x/y", "GET /*rest", {"rest": "users/ada/x/y"}),
        ("/users/", "GET /*rest", {"rest": "users/"}),
        ("/grüße", "GET /*rest", {"rest": "grüße"}),
    ],
)
def test_the_most_specific_route_wins(path: str, winner: str, params: dict[str, str]) -> None:
    table = router("GET /*rest", "GET /users/:id", "GET /users/:id/posts", "GET /users/me", "GET /users", "GET /")
    route, found = table.match("GET", path)
    assert (route.script, found) == (winner, params)


def test_head_is_answered_by_get_unless_it_has_its_own_route() -> None:
    assert router("GET /a").match("HEAD", "/a")[0].script == "GET /a"
    assert router("GET /a", "HEAD /a").match("HEAD", "/a")[0].script == "HEAD /a"


def test_another_method_is_told_what_the_path_answers() -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        router("GET /a", "PUT /:x", "DELETE /b").match("POST", "/a")
    assert caught.value.allow == ("GET", "PUT", "HEAD")


def test_a_method_s_less_specific_route_answers() -> None:
    assert router("GET /a", "POST /:x").match("POST", "/a")[1] == {"x": "a"}


@pytest.mark.parametrize("path", ["/b", "/a/", "/a/b", "//", "/A"])
def test_nothing_else_answers(path: str) -> None:
    with pytest.raises(NotFound):
        router("GET /a").match("GET", path)


@given(
    st.lists(
        st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5
    )
)
def test_rest_is_the_path_itself(segments: list[str]) -> None:
    path = "/".join(segments)
    assert router("GET /*all").match("GET", "/" + path)[1] == {"all": path}


@pytest.mark.parametrize(
    "line",
    [
        "get /a",
        "FETCH /a",
        "GET a",
        "GET ",
        "GET /a/",
        "GET //",
        "GET /:",
        "GET /*",
        "GET /*rest/a",
        "GET /:a/:a",
        "GET /a b",
        "GET /../a",
        "GET /.",
        "GET /é",
        "GET /" + "a" * 2000,
        "GET " + "/a" * 40,
        "GET /:1",
        "GET /a?b",
    ],
)
def test_what_is_no_route_is_refused_with_what_to_do(line: str) -> None:
    method, _, pattern = line.partition(" ")
    with pytest.raises(InvalidRoute):
        check_route(method, pattern, "script")


def test_shapes_tell_ambiguous_routes() -> None:
    assert (
        Route("GET", "/a/:b/*c", "s").shape == Route("GET", "/a/:x/*y", "s").shape != Route("GET", "/a/:b/c", "s").shape
    )
