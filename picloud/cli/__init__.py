"""The `picloud` command."""

from picloud.cli.main import main

__all__ = ["main"]
