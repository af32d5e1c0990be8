"""The library scripts see: one file per namespace, each describing itself."""

from __future__ import annotations

from collections.abc import Iterator

from picloud.sdk.base import base
from picloud.sdk.hex import hex_
from picloud.sdk.kv import kv
from picloud.sdk.spec import Function, Namespace

__all__ = ["NAMESPACES", "Function", "Namespace", "functions"]

NAMESPACES: tuple[Namespace, ...] = (base, hex_, kv)


def functions() -> Iterator[Function]:
    """Yield every function there is."""
    for namespace in NAMESPACES:
        yield from namespace.functions.values()
