"""Hostile scripts: each ends as its first line says, within its limits, and the next run finds nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.arena import Arena
from tests.attacks.attack import MODULES, read_attack

HERE = Path(__file__).parent
SCRIPTS = sorted((HERE / "scripts").rglob("*.lua"))
PROBE = (HERE / "probe.lua").read_text()
MEMORY_SLACK_BYTES = 2**20


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    arena = Arena()
    yield arena
    arena.close()


def test_there_are_attacks_of_every_kind() -> None:
    assert {path.parent.name for path in SCRIPTS} == {"escape", "leak", "limits", "memory", "time"}
    assert len(SCRIPTS) >= 200


@pytest.mark.timeout(60)
@pytest.mark.parametrize("coverage", [False, True], ids=["", "coverage"])
@pytest.mark.parametrize(
    "path", SCRIPTS, ids=lambda path: path.relative_to(HERE / "scripts").with_suffix("").as_posix()
)
def test_attack_ends_as_expected_within_its_limits_and_leaves_nothing_behind(
    arena: Arena, path: Path, coverage: bool
) -> None:
    attack = read_attack(path)
    answer = arena.fight(
        {
            "source": attack.source,
            "probe": PROBE,
            "modules": MODULES,
            "kind": attack.kind,
            "coverage": coverage,
            "settings": attack.settings,
        },
    )
    result = answer["attack"]
    assert result["code"] in attack.codes, result
    if attack.body is not None:
        assert result["body"] == attack.body
    assert result["cpu_s"] <= attack.within_s, result
    assert result["peak_bytes"] <= attack.settings["run_memory_mb"] * 2**20 + MEMORY_SLACK_BYTES, result
    assert result["lines"] <= result["lines_max"] + 1, result
    assert (answer["probe"]["code"], answer["probe"]["body"]) == ("ok", "clean")
