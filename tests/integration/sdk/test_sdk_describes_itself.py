"""Every function of the SDK is described, shown by an example that works, and tested; pages and stubs say the same."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from picloud.engine.binding import calls
from picloud.lua.compiler import syntax_error
from picloud.model.release import TestSource
from picloud.model.script import RESERVED_MODULE_NAMES
from picloud.sdk import NAMESPACES, functions
from picloud.sdk.reference import files
from picloud.sdk.spec import Namespace
from tests.integration.sdk.conftest import Lua

ROOT = Path(__file__).parents[3]
PAGES = ROOT / "docs" / "reference" / "sdk"
EXAMPLES = {f.name: f.example for f in functions()} | {
    constant.name: constant.example for namespace in NAMESPACES for constant in namespace.constants.values()
}
GIVES = re.compile(r"^(\s*)(.+?)\s+--> (.+)$")


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_runs_and_gives_what_it_says(lua: Lua, name: str) -> None:
    lines = [GIVES.sub(r"\1expect((\2)):equals(\3)", line) for line in EXAMPLES[name].splitlines()]
    result = lua.session.test(TestSource("example", "\n".join(lines)))
    assert result.error is None, (name, result.error)
    assert result.assertions == sum("-->" in line for line in EXAMPLES[name].splitlines())


def test_every_function_is_used_in_a_test() -> None:
    texts = "\n".join(path.read_text() for path in ROOT.glob("tests/**/*.py"))
    missing = [function.name for function in functions() if not re.search(rf"\b{re.escape(function.name)}\b", texts)]
    assert missing == []


def test_the_pages_and_the_stub_file_are_those_of_the_code() -> None:
    """After a change of the SDK, `PICLOUD_WRITE_DOCS=1 make test` writes them anew."""
    wanted = files()
    if os.environ.get("PICLOUD_WRITE_DOCS"):
        PAGES.mkdir(exist_ok=True)
        for path in PAGES.iterdir():
            path.unlink()
        for name, text in wanted.items():
            (PAGES / name).write_text(text, encoding="utf-8")
    there = {path.name: path.read_text(encoding="utf-8") for path in PAGES.iterdir()}
    assert there == wanted


def test_no_module_can_have_the_name_of_a_namespace() -> None:
    assert {namespace.name for namespace in NAMESPACES if namespace.name} <= RESERVED_MODULE_NAMES


def test_no_primitive_has_the_name_of_a_function() -> None:
    own = {function.name for function in functions()}
    primitives = [name for namespace in NAMESPACES for name in namespace.primitives]
    assert own.isdisjoint(primitives)
    assert calls().keys() == {name.encode() for name in [*(f.name for f in functions() if f.lua is None), *primitives]}


def test_a_function_that_does_not_describe_itself_is_refused() -> None:
    namespace = Namespace("x", "X.")

    def bare() -> None: ...

    def unexplained(key: bytes) -> None:
        """Do."""

    def foreign(key: dict[int, int]) -> None:
        """Do."""

    for call in (bare, unexplained, foreign):
        with pytest.raises(TypeError, match=rf"x\.{call.__name__}: "):
            namespace.function(example="x.bare()")(call)
    with pytest.raises(TypeError, match=r"x\.described: "):

        @namespace.function(example=" ")
        def described() -> None:
            """Do."""


def test_the_stub_file_is_lua() -> None:
    assert syntax_error(files()["picloud.lua"]) is None
