from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from picloud.engine.interactive import Interactive
from picloud.errors import ScriptError
from picloud.platform import Platform, open_platform
from picloud.settings import Settings


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    with open_platform(Settings(home=tmp_path, database_url=SecretStr(database_url))) as opened:
        yield opened


class Lua:
    """Runs Lua in an app's session."""

    def __init__(self, session: Interactive) -> None:
        self.session = session

    def __call__(self, source: str) -> Any:
        """Run a text; return what its `return` gives, through JSON."""
        [echo] = self.session.run(f"return json.encode({{ (function(...) {source} end)() }})")
        values = json.loads(echo.text)
        return None if values in ([], {}) else values[0]

    def fails(self, source: str) -> str:
        """Run a text that must fail; return the message."""
        with pytest.raises(ScriptError) as failed:
            self.session.run(f"do {source} end")
        return failed.value.message


@pytest.fixture
def open_app(platform: Platform) -> Callable[[str], Lua]:
    """Open an app, made if need be."""
    return lambda name: Lua(platform.interactive(name, lambda _text: None))


@pytest.fixture
def lua(open_app: Callable[[str], Lua]) -> Lua:
    """The app `shop`."""
    return open_app("shop")
