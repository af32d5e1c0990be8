"""The attacks once more, in one real kernel: as drafts answered by `%call`, and as scratch cells of one session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from picloud.model.script import ScriptKind
from tests.acceptance.test_kernel import KERNELSPEC, Kernel, start_kernel
from tests.attacks.attack import LIMITS
from tests.attacks.test_data_plane import ATTACKS, HERE, manifest

PROBE = 'request.cookies.a = "b"\n' + (HERE / "probe.lua").read_text()
"""`%call` sends no headers; the `call` of a `%%test` does, but is answered by another state than the attack was."""
HARMLESS = {
    "escape_require_computed",
    "escape_require_through_load",
    "memory_response_cycle",
    "memory_response_deep",
}
"""`ok` in a scratch cell, by design: it may compute a module's name, and shows tables that have no JSON."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attack, and what must still work after it."""

    name: str
    cells: tuple[str, ...]
    codes: tuple[str, ...]
    probe: str
    clean: str


def attempts() -> Iterator[Attempt]:
    for name, attack in ATTACKS.items():
        cells = (f"%%endpoint {name} GET /{name}\n{attack.source}", f"%call GET /{name}")
        clean = "200 OK\ncontent-type: text/plain; charset=utf-8\n\nclean"
        yield Attempt(f"endpoint {name}", cells, attack.codes, "%call GET /probe", clean)
    for name, attack in ATTACKS.items():
        is_leak = name.startswith("leak_")  # no attack in a scratch cell, whose globals stay, by design
        if not is_leak and "request" not in attack.source and "response" not in attack.source:
            codes = ("ok",) if name in HARMLESS else attack.codes
            cells = ("%reset", attack.source)  # or the locals of all attacks would share the memory of one session
            yield Attempt(f"cell {name}", cells, codes, "return 6 * 7", "42")


@pytest.fixture
def kernel(database_url: str, tmp_path: Path) -> Iterator[Kernel]:
    (tmp_path / "picloud").symlink_to(KERNELSPEC)
    own = {"PICLOUD_HOME": str(tmp_path), "PICLOUD_DATABASE_URL": database_url, "IPYTHONDIR": str(tmp_path)}
    kernel = start_kernel(tmp_path, own | {f"PICLOUD_{name.upper()}": str(value) for name, value in LIMITS.items()})
    yield kernel
    kernel.close()


def run(kernel: Kernel, *cells: str) -> tuple[str, str]:
    """Run the cells up to the first that fails; return the last one's code, and what it showed."""
    code = shown = ""
    for cell in cells:
        outcome = kernel.run(cell)
        if outcome.status != "ok":
            return outcome.reply["ename"], outcome.reply["evalue"]
        code, shown = "ok", outcome.text
    return code, shown


def pid_of(kernel: Kernel) -> int:
    return int(kernel.succeeds("%%python\nimport os\nos.getpid()").text)


@pytest.mark.timeout(300)
def test_every_attack_ends_as_expected_and_the_kernel_lives(kernel: Kernel) -> None:
    pid = pid_of(kernel)
    kernel.succeeds("%app victim")
    for script in manifest().scripts:
        if script.kind is ScriptKind.MODULE:
            kernel.succeeds(f"%%module {script.name}\n{script.source}")
    kernel.succeeds(f"%%endpoint probe GET /probe\n{PROBE}")
    wrong: dict[str, tuple[object, ...]] = {}
    for attempt in attempts():
        try:
            code, shown = run(kernel, *attempt.cells)
            probe = run(kernel, attempt.probe)
        except TimeoutError as error:  # a kernel that is dead or hangs answers nothing from here on
            wrong[attempt.name] = (repr(error),)
            break
        if code not in attempt.codes or probe != ("ok", attempt.clean):
            wrong[attempt.name] = (attempt.codes, code, shown[:200], probe)
    assert wrong == {}
    assert pid_of(kernel) == pid
