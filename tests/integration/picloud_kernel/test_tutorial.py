"""docs/tutorial.md: its cells run in their order, and show what it says."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path

from picloud.publishing.cells import parse_cell
from picloud_kernel.commands import Commands
from picloud_kernel.display import Bundle
from picloud_kernel.runner import Runner
from picloud_kernel.session import Session
from tests.integration.triggers.conftest import World, platform, world

__all__ = ["platform", "world"]

TUTORIAL = Path(__file__).parents[3] / "docs" / "tutorial.md"


def test_the_cells_of_the_tutorial_do_what_it_says(world: World) -> None:
    cells = re.findall(r"^```lua\n(.*?)\n```$", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(cells) > 15
    shown: list[Bundle] = []
    session = Session(lambda: nullcontext(world.platform), lambda _: None)
    runner = Runner(session, Commands(session, server_url=None), shown.append)
    said: dict[str, str] = {}
    for source in cells:
        shown.clear()
        value = runner.run(parse_cell(source), "cell 1")
        if "queue.send" in source or "%redrive" in source:  # what the worker does in the meantime
            world.finish()
            world.platform.history.flush()
        said[source] = "\n".join(str(bundle.data["text/plain"]) for bundle in (*shown, value) if bundle)
    assert "hello ada" in said["%call GET /hello/ada"]
    assert "endpoint hello" in said["%plan"]
    assert ":8787/run/notes/hello/:name" in said['%publish -m "first version"']
    assert said["%runs mailer"].count("failed") == 2
    assert said["%runs mailer"].count("succeeded") == 1
    assert "attempt to concatenate a nil value" in said["%deadletters"]
    assert "1 dead letter is on the way" in said["%redrive --all mailer"]
    assert said['return kv.get("mail:nobody")'].startswith("lost")
