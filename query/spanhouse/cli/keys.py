"""``spanhouse keys``: which metadata there is to filter by."""

from __future__ import annotations

from argparse import Namespace
from typing import Final

from spanhouse.cli.errors import Exit
from spanhouse.cli.output import show_rows
from spanhouse.cli.stores import select
from spanhouse.query.statement import Statement

_KEYS: Final = """SELECT key, count() AS traces, uniqExact(value) AS distinct_values
FROM traces
ARRAY JOIN mapKeys(Metadata) AS key, mapValues(Metadata) AS value
GROUP BY key
ORDER BY key"""


def run(arguments: Namespace) -> int:
    """Print each key with the number of traces that have it and of its values."""
    show_rows(arguments.format, ("key", "traces", "values"), select(arguments.store, Statement(_KEYS, {})))
    return Exit.DONE
