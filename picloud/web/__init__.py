"""The web application: `create_app(platform)` returns the WSGI callable."""

from picloud.web.application import create_app

__all__ = ["create_app"]
