"""JSON API on the console port of `serve`: writes other than spans, and store maintenance."""

from spanhouse.console.json_api import Console

__all__ = ["Console"]
