"""Makes papermill speak Lua: `papermill nb.ipynb out.ipynb -p name ada -k picloud`.

Papermill asks other packages for engines and file handlers, not for translators. So `pyproject.toml` announces an
engine, which is papermill's own: loading it imports this file, and that registers the translator.
"""

from __future__ import annotations

from papermill.engines import NBClientEngine
from papermill.translators import papermill_translators

from picloud_kernel.parameters import LuaTranslator

__all__ = ["NBClientEngine"]

papermill_translators.register("picloud", LuaTranslator)
