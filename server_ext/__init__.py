"""PiCloud inside Jupyter Server: data plane supervised, script routes proxied, admin API behind Jupyter's login."""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tell Jupyter Server which extension app this package holds."""
    from server_ext.app import PicloudExtension

    return [{"module": "server_ext.app", "app": PicloudExtension}]
