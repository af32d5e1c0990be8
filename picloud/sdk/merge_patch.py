"""JSON Merge Patch (RFC 7396)."""

from __future__ import annotations

import json
from typing import Any


def merge_patch(target: str, patch: str) -> str:
    """Return the JSON of the target with the patch applied; both are JSON as the codec of scripts writes it."""
    merged = _merged(json.loads(target), json.loads(patch))
    return json.dumps(merged, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _merged(target: Any, patch: Any) -> Any:
    """Follow section 2 of the RFC; as deep as the patch, which the codec keeps under 100 levels."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged
