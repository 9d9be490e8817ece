"""``spanhouse keys``: metadata keys to filter by."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import astuple

from spanhouse.cli.errors import Exit
from spanhouse.cli.output import show_rows
from spanhouse.cli.store_access import reader


def run(arguments: Namespace) -> int:
    """Print each key with the number of its values, and the days when traces that have it first and last started."""
    with reader(arguments.store) as client:
        found = client.keys()
    show_rows(arguments.format, ("key", "values", "complete", "first_day", "last_day"), [astuple(key) for key in found])
    return Exit.DONE
