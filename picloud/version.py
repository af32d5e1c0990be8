"""The two version numbers: of the product, and of the interface that scripts see."""

__version__ = "0.1.0"

SDK_SCHEMA_VERSION = "1.0"
"""Raised when a script written for the previous number could behave differently."""
