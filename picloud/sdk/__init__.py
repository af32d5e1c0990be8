"""The library scripts see: one file per namespace, each describing itself."""

from __future__ import annotations

from picloud.sdk.base import base
from picloud.sdk.base64 import base64_
from picloud.sdk.dead_letters import dead_letters
from picloud.sdk.docs import docs
from picloud.sdk.hex import hex_
from picloud.sdk.json import json_
from picloud.sdk.kv import kv
from picloud.sdk.log import log
from picloud.sdk.pubsub import pubsub
from picloud.sdk.queue import queue
from picloud.sdk.random import random_
from picloud.sdk.regex import regex
from picloud.sdk.spec import Function, Namespace
from picloud.sdk.time import time_
from picloud.sdk.url import url

__all__ = ["NAMESPACES", "Function", "Namespace", "functions"]

NAMESPACES: tuple[Namespace, ...] = (
    base,
    kv,
    docs,
    queue,
    pubsub,
    dead_letters,
    log,
    random_,
    time_,
    json_,
    base64_,
    hex_,
    url,
    regex,
)


def functions() -> tuple[Function, ...]:
    """Return every function there is."""
    return tuple(function for namespace in NAMESPACES for function in namespace.functions.values())
