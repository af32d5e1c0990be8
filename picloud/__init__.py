"""PiCloud: a self-hosted script cloud that lives inside Jupyter."""

from picloud.version import __version__

__all__ = ["__version__"]
