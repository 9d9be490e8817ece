"""``spanhouse values``: which values a metadata key has."""

from __future__ import annotations

from argparse import Namespace
from typing import Final

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.output import show_rows
from spanhouse.cli.stores import select
from spanhouse.query.statement import Statement

_VALUES: Final = """SELECT Metadata[{key:String}] AS value, count() AS traces
FROM traces
WHERE mapContains(Metadata, {key:String})
GROUP BY value
ORDER BY traces DESC, value"""


def run(arguments: Namespace) -> int:
    """Print each value with the number of traces that have it, the most frequent first; exit with 1 if no trace has the key."""
    rows = select(arguments.store, Statement(_VALUES, {"key": arguments.key}))
    if not rows:
        raise CommandError(f"no trace has metadata {arguments.key!r}; `spanhouse keys` lists what there is", Exit.NOTHING)
    show_rows(arguments.format, ("value", "traces"), rows)
    return Exit.DONE
