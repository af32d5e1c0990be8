"""What the web application needs from its host; `picloud.platform.Platform` is that, and lies above this layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from picloud.admin.dead_letters import DeadLetterAdministration
    from picloud.engine.client import LocalExecutor
    from picloud.engine.counters import CacheCounters
    from picloud.engine.dispatcher import Dispatcher
    from picloud.engine.old_releases import OldReleases
    from picloud.publishing.publisher import Publisher
    from picloud.settings import Settings
    from picloud.storage.apps import AppRepository
    from picloud.storage.database import Database
    from picloud.storage.live import LiveRepository
    from picloud.storage.releases import ReleaseRepository
    from picloud.storage.runs import RunRepository
    from picloud.storage.schedules import ScheduleRepository
    from picloud.storage.tokens import TokenRepository


class Services(Protocol):
    """The ready services of a platform, read only."""

    @property
    def settings(self) -> Settings: ...  # noqa: D102
    @property
    def database(self) -> Database: ...  # noqa: D102
    @property
    def apps(self) -> AppRepository: ...  # noqa: D102
    @property
    def live(self) -> LiveRepository: ...  # noqa: D102
    @property
    def releases(self) -> ReleaseRepository: ...  # noqa: D102
    @property
    def schedules(self) -> ScheduleRepository: ...  # noqa: D102
    @property
    def run_records(self) -> RunRepository: ...  # noqa: D102
    @property
    def tokens(self) -> TokenRepository: ...  # noqa: D102
    @property
    def dead_letters(self) -> DeadLetterAdministration: ...  # noqa: D102
    @property
    def dispatcher(self) -> Dispatcher: ...  # noqa: D102
    @property
    def local(self) -> LocalExecutor: ...  # noqa: D102
    @property
    def old_releases(self) -> OldReleases: ...  # noqa: D102
    @property
    def publisher(self) -> Publisher: ...  # noqa: D102
    @property
    def caches(self) -> Mapping[str, CacheCounters]: ...  # noqa: D102
