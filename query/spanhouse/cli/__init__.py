"""The command ``spanhouse``. Starts with the standard library alone; each verb loads what it needs, and names the extra that is missing."""

from spanhouse.cli.command import main

__all__ = ["main"]
