"""`%coverage` on a real database: drafts in front of what is live, and what tests store is taken back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from pydantic import SecretStr

from picloud.model.release import Manifest
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind
from picloud.platform import Platform, open_platform
from picloud.publishing.cells import parse_cell
from picloud.settings import Settings
from picloud_kernel.commands import Commands
from picloud_kernel.display import Bundle
from picloud_kernel.runner import Runner
from picloud_kernel.session import Session

COUNT = """\
local M = {}
function M.up()
  local n = (kv.get("n") or 0) + 1
  kv.set("n", n)
  if n > 1 then
    return "again"
  end
  return "first"
end
return M"""


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    with open_platform(Settings(home=tmp_path, database_url=SecretStr(database_url))) as opened:
        yield opened


class Notebook:
    """Cells of a notebook on the app `blog`, whose live release this session has not run."""

    def __init__(self, platform: Platform) -> None:
        scripts = (
            Script("count", ScriptKind.MODULE, COUNT),
            Script("up", ScriptKind.ENDPOINT, 'return { is = require("count").up() }'),
        )
        platform.publisher.publish(
            "blog", Manifest(scripts, (Route("POST", "/up", "up"),)), author="me", message="", create=True
        )
        self.shown: list[Bundle] = []
        session = Session(lambda: nullcontext(platform), lambda _: None)
        session.use_app("blog")
        self._runner = Runner(session, Commands(session, server_url=None), self.shown.append)

    def run(self, source: str) -> list[str]:
        """Return the lines of the last output."""
        self._runner.run(parse_cell(source), "cell")
        return str(self.shown[-1].data["text/plain"]).splitlines()


def test_live_scripts_are_measured_and_what_a_test_stores_is_gone_for_the_next(platform: Platform) -> None:
    notebook = Notebook(platform)
    first = '%%test first --coverage\nexpect(call("POST", "/up").json.is):equals("first")'
    for _ in range(2):
        assert notebook.run(first)[1:] == [
            "count   module    7/8    87 %     6",
            "up      endpoint  1/1    100 %",
            "total             8/9    88 %",
        ]
    again = '%%test again\ncall("POST", "/up")\nexpect(call("POST", "/up").json.is):equals("again")'
    notebook.run(again)
    assert notebook.run("%coverage")[1:] == [
        "count   module    8/8    100 %",
        "up      endpoint  1/1    100 %",
        "total             9/9    100 %",
    ]


def test_a_draft_takes_the_place_of_what_is_live(platform: Platform) -> None:
    notebook = Notebook(platform)
    notebook.run(f"%%module count\n-- a draft\n{COUNT}")
    assert notebook.run('%%test first --coverage\ncall("POST", "/up")')[1] == "count   module    7/8    87 %     7"
