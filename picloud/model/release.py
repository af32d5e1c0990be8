"""A release: the numbered, immutable record of one publish."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from picloud.errors import FailedTest
from picloud.model.route import Route
from picloud.model.script import Script
from picloud.model.trigger import Trigger


@dataclass(frozen=True, slots=True)
class TestSource:
    """One `%%test` cell."""

    __test__ = False  # not a pytest class

    name: str
    source: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """All an app consists of: what a notebook publishes and what a release keeps. Each part is sorted by name."""

    scripts: tuple[Script, ...] = ()
    routes: tuple[Route, ...] = ()
    tests: tuple[TestSource, ...] = ()
    triggers: tuple[Trigger, ...] = ()


@dataclass(frozen=True, slots=True)
class Forced:
    """Why a release was published although tests failed, and which."""

    reason: str
    failures: tuple[FailedTest, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """One publish of an app."""

    number: int
    """1-based, without gaps, per app."""
    author: str
    message: str
    notebook: str | None
    """File name of the notebook it came from, of several with commas in between, or of their folder with a `/`."""
    created_at: datetime
    manifest: Manifest = field(repr=False)
    forced: Forced | None = None
    """None: all tests passed."""


def about(message: str, forced: Forced | None) -> str:
    """Return a release's message, and why it was forced."""
    return " ".join(filter(None, (message, f"(forced: {forced.reason})" if forced else "")))
