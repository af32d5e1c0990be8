"""What the caches did, as an operator scrapes it; a publish costs exactly what it changes."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from picloud.model.principal import Scope
from picloud.model.release import Manifest
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind
from picloud.platform import Platform
from picloud.web.metrics import CACHE_METRICS
from tests.integration.web.conftest import Client, TokenMaker

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "http-api.md"
DIAMOND = {
    "top": "local left, right = require('left'), require('right') return left.value() .. right.value()",
    "left": "local base = require('base') return { value = function() return base.value end }",
    "right": "local base = require('base') return { value = function() return base.value end }",
    "base": "return { value = 'a' }",
    "aside": "return { value = 'x' }",
}


def diamond(**changed: str) -> Manifest:
    sources = DIAMOND | changed
    kinds = {"top": ScriptKind.ENDPOINT}
    scripts = [Script(name, kinds.get(name, ScriptKind.MODULE), sources[name]) for name in sorted(sources)]
    return Manifest(tuple(scripts), (Route("GET", "/", "top"),))


class Caches:
    """Reads `/metrics`, and what changed since the last look."""

    def __init__(self, client: Client, token: str) -> None:
        self._client, self._token = client, token
        self._last: dict[tuple[str, str], float] = {}

    def since(self) -> dict[tuple[str, str], float]:
        answer = self._client("GET", "/metrics", token=self._token)
        assert answer.status == 200
        now = {
            (sample.labels["cache"], sample.name.removeprefix("picloud_cache_").removesuffix("_total")): sample.value
            for family in text_string_to_metric_families(answer.body.decode())
            for sample in family.samples
        }
        changes = {key: value - self._last.get(key, 0) for key, value in now.items()}
        self._last = now
        return changes


def publish(platform: Platform, manifest: Manifest) -> None:
    platform.publisher.publish("diamond", manifest, author="test", create=True)


def test_a_publish_costs_the_next_request_one_snapshot_and_the_changed_modules_once(
    client: Client, platform: Platform, make_token: TokenMaker
) -> None:
    publish(platform, diamond())
    caches = Caches(client, make_token(None))
    caches.since()

    assert client("GET", "/run/diamond/").body == b"aa"
    first = caches.since()
    assert (first["snapshots", "misses"], first["snapshots", "hits"]) == (1, 0)
    assert (first["chunks", "misses"], first["chunks", "hits"]) == (4, 0)  # the diamond's tip once; `aside` never
    used = ("top", "left", "right", "base")
    assert first["chunks", "loaded_bytes"] == sum(len(DIAMOND[name]) for name in used)
    assert first["chunks", "load_seconds"] > 0

    assert client("GET", "/run/diamond/").body == b"aa"
    again = caches.since()
    assert (again["snapshots", "misses"], again["snapshots", "hits"]) == (0, 1)
    assert (again["chunks", "misses"], again["chunks", "hits"]) == (0, 4)

    publish(platform, diamond(base="return { value = 'b' }", aside="return { value = 'y' }"))
    assert client("GET", "/run/diamond/").body == b"bb"
    after = caches.since()
    assert (after["snapshots", "misses"], after["snapshots", "hits"]) == (1, 0)
    assert (after["chunks", "misses"], after["chunks", "hits"]) == (1, 3)

    publish(platform, diamond())  # as it was: what was compiled then still serves
    assert client("GET", "/run/diamond/").body == b"aa"
    back = caches.since()
    assert (back["chunks", "misses"], back["chunks", "hits"]) == (0, 4)


def test_metrics_are_for_tokens_of_the_whole_instance(
    client: Client, platform: Platform, make_token: TokenMaker
) -> None:
    assert client("GET", "/metrics").status == 401
    assert client("GET", "/metrics", token=make_token("blog", *Scope)).status == 403
    refused = client("POST", "/metrics", token=make_token(None))
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")
    assert client("HEAD", "/metrics", token=make_token(None)).body == b""


def test_every_metric_is_in_the_reference_with_its_meaning() -> None:
    text = REFERENCE.read_text()
    for name, (_field, meaning) in CACHE_METRICS.items():
        assert f"| `{name}_total` | {meaning} |" in text
