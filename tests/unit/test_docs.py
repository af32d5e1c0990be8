"""The reference pages say what the code does: nothing is missing and nothing is left over."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from picloud import errors
from picloud.cli import main
from picloud.model.principal import Scope
from picloud.settings import Settings
from picloud.web.api.operations import OPERATIONS
from picloud.web.problems import INTERNAL_CODE, STATUS

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def commands(command: click.Command, path: str = "picloud") -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, child in command.commands.items():
        yield from commands(child, f"{path} {name}")


def error_classes(base: type[errors.PicloudError]) -> Iterator[type[errors.PicloudError]]:
    yield base
    for child in base.__subclasses__():
        yield from error_classes(child)


def rows(text: str) -> dict[str, str]:
    """Return the table rows of a page by the code in their first cell."""
    return {found[1]: found[0] for found in re.finditer(r"^\| `([^`]+)` \|.*$", text, re.MULTILINE)}


def test_every_command_is_there_with_every_option_and_no_other() -> None:
    described = rows(page("cli.md"))
    names = set()
    for path, command in commands(main):
        [(title, row)] = [(t, r) for t, r in described.items() if t == path or re.fullmatch(rf"{path}( [A-Z]+)+", t)]
        names.add(title)
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert any(f"`{name}" in row or f"{name}`" in row for name in parameter.opts), (path, parameter.opts)
    assert set(described) == names


def test_every_scope_is_there() -> None:
    assert all(f"`{scope}`" in page("cli.md") for scope in Scope)


def test_every_setting_is_there_with_its_default_and_meaning_and_no_other() -> None:
    described = rows(page("settings.md"))
    assert set(described) == {f"PICLOUD_{name.upper()}" for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        row = described[f"PICLOUD_{name.upper()}"]
        assert field.description
        assert field.description in row
        if field.default_factory is None:
            default = "unset" if field.default is None else f"`{field.default}`".replace(".0`", "`")
            assert f"| {default} |" in row


def test_every_error_code_is_there_with_its_status_and_no_other() -> None:
    described = rows(page("errors.md"))
    branches = (errors.CallerError, errors.ScriptError, errors.PlatformError)
    classes = {found.code: found for branch in branches for found in error_classes(branch)}
    assert set(described) == {*classes, INTERNAL_CODE}
    for code, found in classes.items():
        status = next(STATUS[base] for base in found.__mro__ if base in STATUS)
        assert f"| {status} |" in described[code]
        assert inspect.cleandoc(found.__doc__ or "").splitlines()[0] in described[code]


def test_every_operation_is_there_with_its_scopes_and_no_other() -> None:
    described = rows(page("http-api.md").partition("## Admin API")[2])
    assert set(described) == {f"{o.method} /api/v1{o.path}" for o in OPERATIONS}
    for operation in OPERATIONS:
        row = described[f"{operation.method} /api/v1{operation.path}"]
        assert all(f"`{scope}`" in row for scope in operation.scopes)
        assert f"| {operation.status} |" in row


@pytest.mark.parametrize(
    "name", ["cli.md", "settings.md", "errors.md", "http-api.md", "module-system.md", "triggers.md", "runs.md"]
)
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page(name)):
        assert (REFERENCE / target).exists(), target


@pytest.mark.parametrize(
    ("name", "least"), [("module-system.md", 30), ("schedules.md", 20), ("triggers.md", 30), ("runs.md", 25)]
)
def test_the_tests_that_pin_a_promise_are_there(name: str, least: int) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page(name))
    assert len(named) > least
    for path, test in named:
        assert f"def {test}(" in (REFERENCE.parents[1] / path).read_text(encoding="utf-8"), (path, test)


def test_what_the_audit_asks_is_pinned_or_said_to_be_missing() -> None:
    for row in re.findall(r"^\| \d.*$", page("module-system.md"), re.MULTILINE):
        assert "`tests/" in row or "not built yet" in row, row
