from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

pytest_plugins = ["picloud.testing.fixtures"]

# How long an example takes tells of the machine and who else works on it; pytest's timeout ends what hangs.
settings.register_profile("picloud", deadline=None)
settings.load_profile("picloud")


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Let reports hold what tests attack with: half a surrogate pair in one would end the whole run."""
    return _as_utf8((yield))


def _as_utf8(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {_as_utf8(key): _as_utf8(item) for key, item in value.items()}
        case list() | tuple():
            return type(value)(map(_as_utf8, value))
    return value
