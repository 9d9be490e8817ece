"""Command ``spanhouse``. It starts with the standard library alone; each verb loads the packages it needs, and names the extra that is missing."""

from spanhouse.cli.command import main

__all__ = ["main"]
