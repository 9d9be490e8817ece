"""``spanhouse values``: values of a metadata key."""

from __future__ import annotations

from argparse import Namespace

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.output import show_rows
from spanhouse.cli.store_access import reader


def run(arguments: Namespace) -> int:
    """Print each value with the number of traces that have it, where they are counted; refuse a key that no trace has had."""
    with reader(arguments.store) as client:
        found = client.values(arguments.key)
    if not found:
        raise CommandError(f"no trace has metadata {arguments.key!r}; `spanhouse keys` lists what there is")
    show_rows(arguments.format, ("value", "traces"), list(found.items()))
    return Exit.DONE
