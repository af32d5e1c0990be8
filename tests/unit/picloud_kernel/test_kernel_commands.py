"""The texts of the line magics."""

from __future__ import annotations

import pytest

from picloud.model.route import Route
from picloud.publishing.publisher import Plan
from picloud.settings import Settings
from picloud_kernel.commands import data_plane, plan_text, states, url_path


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8787"),
        ("0.0.0.0", "http://localhost:8787"),
        ("::", "http://localhost:8787"),
        ("::1", "http://[::1]:8787"),
    ],
)
def test_the_data_planes_url_is_one_to_connect_to(host: str, url: str) -> None:
    assert data_plane(Settings(host=host, port=8787)) == url


def test_a_url_keeps_parameters_readable() -> None:
    assert url_path(Route("GET", "/a/:id/*rest", "x")) == "/a/:id/*rest"
    assert url_path(Route("GET", "/50%25", "x")) == "/50%25"


def test_states_say_what_is_live_and_what_is_not() -> None:
    live = {("module", "a"): "1", ("module", "b"): "1", ("module", "c"): "1"}
    draft = {("module", "b"): "1", ("module", "c"): "2", ("module", "d"): "1"}
    assert states(live, draft) == [
        ("module", "a", "live, not run in this session"),
        ("module", "b", "live"),
        ("module", "c", "live, changed here"),
        ("module", "d", "draft, not published yet"),
    ]


def test_a_plan_marks_what_happens_to_each_part() -> None:
    plan = Plan(
        added=("module a",),
        changed=("module b",),
        removed=("test c",),
        unchanged=("module d",),
        affected=("endpoint e",),
    )
    assert plan_text(plan).splitlines() == [
        "  + module a",
        "  ~ module b",
        "  - test c",
        "  > endpoint e, which requires what changes",
    ]


def test_an_empty_plan_says_so() -> None:
    plan = Plan(added=(), changed=(), removed=(), unchanged=("module d",), affected=())
    assert "Nothing changes" in plan_text(plan)
