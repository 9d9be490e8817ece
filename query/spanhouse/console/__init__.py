"""The JSON API that `serve` answers on its console port: what changes a store and is not a span."""

from spanhouse.console.json_api import Console

__all__ = ["Console"]
