"""`json.pretty` says what `json.encode` says, for people."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.engine.dispatcher import Published
from picloud.engine.executor import Executor
from picloud.engine.interactive import Interactive
from picloud.errors import NotFound
from picloud.platform import limits_of
from picloud.settings import Settings

documents = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text('ab\n"', max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
    max_leaves=10,
)


def nothing_published(_name: str) -> Published:
    raise NotFound


@pytest.fixture(scope="module")
def session() -> Interactive:
    return Interactive(nothing_published, Executor(limits_of(Settings())), "shop", lambda _text: None)


@given(documents)
def test_pretty_text_is_that_of_python_with_two_spaces(session: Interactive, document: Any) -> None:
    literal = "".join(f"\\{byte:03d}" for byte in json.dumps(document).encode())
    [echo] = session.run(f'return json.pretty(json.decode("{literal}"))')
    assert echo.text == json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True)
