"""The main job as a person does it: JupyterLab in a browser, the welcome notebook run from top to bottom."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import IO

import httpx
import pytest
from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
START_TIMEOUT_S = 90
STOP_TIMEOUT_S = 30
PAGE_TIMEOUT_MS = 60_000

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@dataclass(frozen=True, slots=True)
class Lab:
    """A running `picloud lab`, by what it announced."""

    lab: httpx.URL
    routes: str
    data_plane: str


@pytest.fixture
def lab(embedded_home: Path, embedded_server: object, tmp_path: Path) -> Iterator[Lab]:
    work = tmp_path / "work"
    _copy_without_outputs(NOTEBOOKS, work)
    environment = os.environ | {
        "PICLOUD_HOME": str(embedded_home),
        "PICLOUD_PORT": "0",
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(_settings(tmp_path / "settings")),
        "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces"),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "picloud", "lab", "--no-browser", "--port", "0", "--notebook-dir", str(work)],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines: Queue[str] = Queue()
        reader = threading.Thread(target=_forward, args=(process.stdout, lines))
        reader.start()
        try:
            yield _announced(lines)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_TIMEOUT_S)
            finally:
                process.kill()
                reader.join()


def _copy_without_outputs(source: Path, target: Path) -> None:
    """Copy the notebooks: what the page shows afterwards was computed there."""
    target.mkdir()
    for path in source.glob("*.ipynb"):
        notebook = json.loads(path.read_bytes())
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell |= {"outputs": [], "execution_count": None}
        (target / path.name).write_text(json.dumps(notebook), encoding="utf-8")


def _settings(folder: Path) -> Path:
    """Have no news fetched, and all cells kept in the page."""
    for name, values in {
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        "notebook-extension/tracker": {"windowingMode": "none"},
    }.items():
        path = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    return folder


def _announced(lines: Queue[str]) -> Lab:
    """Read what the process writes until it has named its three URLs."""
    found: dict[str, str] = {}
    seen: list[str] = []
    while len(found) < 3:
        try:
            seen.append(lines.get(timeout=START_TIMEOUT_S))
        except Empty:
            raise AssertionError("picloud lab did not start:\n" + "".join(seen)) from None
        if match := re.match(r"(JupyterLab|Script routes|Data plane): +(\S+)", seen[-1]):
            found[match[1]] = match[2]
    return Lab(httpx.URL(found["JupyterLab"]), found["Script routes"], found["Data plane"])


def _forward(stream: IO[str], lines: Queue[str]) -> None:
    for line in stream:
        lines.put(line)


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGUMENTS))
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(PAGE_TIMEOUT_MS)
        expect.set_options(timeout=PAGE_TIMEOUT_MS)
        yield page
        browser.close()


def test_the_welcome_notebook_goes_live(lab: Lab, page: Page, tmp_path: Path) -> None:
    page.goto(str(lab.lab.copy_with(path="/lab")))
    expect(page.locator(".jp-LauncherCard[title*='PiCloud']").first).to_be_visible()
    page.screenshot(path=tmp_path / "launcher.png")

    page.goto(str(lab.lab))
    page.locator(".jp-Notebook").wait_for()
    page.get_by_text("PiCloud (Lua) | Idle").wait_for()
    page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click()
    page.locator("li[data-command='runmenu:run-all']").click()

    notebook = page.locator(".jp-Notebook")
    expect(notebook).to_contain_text(re.compile(r"Release \d+ of the app welcome"))
    expect(notebook.locator(".jp-OutputArea-output", has_text="%%endpoint NAME METHOD PATH")).to_be_visible()
    expect(notebook.locator("[data-mime-type='application/vnd.jupyter.stderr']")).to_have_count(0)
    _screenshots(page, tmp_path)

    answer = {"message": "hello ada"}
    assert httpx.get(f"{lab.routes}welcome/hello/ada").json() == answer
    assert httpx.get(f"{lab.data_plane}welcome/hello/ada").json() == answer


GREET = '%%module greet\nlocal M = {}\nfunction M.hello(name)\n  return "hello " .. name\nend\nreturn M'
HELLO = '%%endpoint hello GET /hello/:name\nreturn { message = require("greet").hello(request.params.name) }'
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
ODD = """%%endpoint "<img src=x onerror=document.title='owned'>" GET /odd\nreturn 1"""
DASHBOARD = ("%app counter", GREET, HELLO, ODD, f"%publish -m {HOSTILE}", "%dashboard")


def test_the_dashboard_changes_the_app(lab: Lab, page: Page, tmp_path: Path) -> None:
    """Break a script and mend it, be refused a kind, go back: by clicking, with what is live asked over HTTP."""
    _write_notebook(tmp_path / "work" / "dashboard.ipynb", *DASHBOARD)
    page.goto(str(lab.lab.copy_with(path="/lab/tree/dashboard.ipynb")))
    page.locator(".jp-Notebook").wait_for()
    page.get_by_text("PiCloud (Lua) | Idle").wait_for()
    page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click()
    page.locator("li[data-command='runmenu:run-all']").click()
    panel = page.locator(".picloud-dashboard")
    expect(panel.get_by_role("heading", name="counter")).to_be_visible()

    source, save = panel.get_by_role("textbox", name="Source"), panel.get_by_role("button", name="Save", exact=True)
    panel.get_by_role("button", name="greet").click()
    expect(source).to_have_value(re.compile("hello "))
    good = source.input_value()
    source.fill(good.replace("end\n", ""))
    save.click()
    expect(panel.locator("[role=alert]")).to_contain_text("greet, line ")
    page.screenshot(path=tmp_path / "dashboard-invalid.png")
    assert answer(lab) == {"message": "hello ada"}

    source.fill(good.replace("hello ", "good day "))
    save.click()
    expect(panel.get_by_text("Release 2 is live.")).to_be_visible()
    expect(panel.get_by_text("This notebook has a draft of")).to_be_visible()
    assert answer(lab) == {"message": "good day ada"}
    page.screenshot(path=tmp_path / "dashboard-saved.png")

    panel.get_by_role("button", name="hello").click()
    expect(panel.get_by_label("Kind")).to_have_value("endpoint")
    panel.get_by_label("Kind").select_option("module")
    expect(panel.get_by_text("cannot become a module while routes or triggers lead to it")).to_be_visible()
    expect(panel.get_by_label("Kind")).to_have_value("endpoint")
    page.screenshot(path=tmp_path / "dashboard-refused.png")
    panel.get_by_role("button", name="onerror").click()
    expect(panel.get_by_role("heading", name="onerror")).to_be_visible()

    panel.get_by_role("tab", name="Routes").click()
    expect(panel.get_by_role("cell", name="/hello/:name").first).to_be_visible()
    page.screenshot(path=tmp_path / "dashboard-routes.png")

    panel.get_by_role("tab", name="Releases").click()
    expect(panel.get_by_role("cell", name=HOSTILE)).to_be_visible()
    panel.get_by_label("Go back to").select_option(index=0)
    expect(panel.get_by_text("changes module greet")).to_be_visible()
    panel.locator("summary", has_text="module greet").click()
    panel.get_by_role("button", name="Roll back", exact=True).click()
    page.screenshot(path=tmp_path / "dashboard-rollback.png")
    panel.get_by_role("button", name="Yes, roll back").click()
    expect(panel.get_by_text("Went back to release 1. Release 3 is live.")).to_be_visible()
    assert answer(lab) == {"message": "hello ada"}
    assert page.title() != "owned"
    assert panel.locator("img").count() == 0


def _write_notebook(path: Path, *cells: str) -> None:
    """Write a notebook whose kernel is PiCloud's."""
    code: dict[str, object] = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    kernel = {"kernelspec": {"name": "picloud", "display_name": "PiCloud (Lua)", "language": "lua"}}
    sources = [{**code, "id": f"cell-{number}", "source": cell} for number, cell in enumerate(cells)]
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": sources}))


def answer(lab: Lab) -> object:
    return httpx.get(f"{lab.data_plane}counter/hello/ada").json()


def _screenshots(page: Page, folder: Path) -> None:
    """Save the notebook as it looks after the run, screen by screen."""
    scroller = page.locator(".jp-WindowedPanel-outer").first
    height, visible = scroller.evaluate("e => [e.scrollHeight, e.clientHeight]")
    for number, top in enumerate(range(0, height, visible), start=1):
        scroller.evaluate("(e, top) => { e.scrollTop = top }", top)
        page.screenshot(path=folder / f"notebook-{number}.png")
