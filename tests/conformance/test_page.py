"""The conformance page says what the suites found."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from tests.conformance.suite import PAGE, render

HERE = Path(__file__).parent


def test_the_page_says_what_the_suites_found() -> None:
    names = sorted(path.stem for path in HERE.glob("test_*.py"))
    modules = [importlib.import_module(f"tests.conformance.{name}") for name in names]
    found = render((module.SUITE, module.run()) for module in modules if hasattr(module, "SUITE"))
    if os.environ.get("PICLOUD_WRITE_DOCS") == "1":
        PAGE.write_text(found, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == found, "its first lines say how to write it anew"
