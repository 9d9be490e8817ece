"""How to fill again what the views over ``otel_traces`` keep, for spans that are already stored.

A materialized view sees what is inserted while it exists. Spans that were stored without it, because the process died between the
insert into ``otel_traces`` and those that follow from it, or because the view is younger, are read again by its own SELECT.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from spanhouse.schema import migrations

_VIEW: Final = re.compile(r"CREATE MATERIALIZED VIEW IF NOT EXISTS (?P<name>\w+) TO (?P<target>\w+) AS\n(?P<select>.*)\Z", re.DOTALL)
_DROP: Final = re.compile(r"DROP VIEW IF EXISTS (?P<name>\w+)\Z")
_SOURCE: Final = re.compile(r"\bFROM otel_traces$", re.MULTILINE)
_COLUMNS: Final = re.compile(r"^SELECT\n(?P<items>.*?)\nFROM", re.MULTILINE | re.DOTALL)
_STORED: Final = "FROM (SELECT * FROM otel_traces WHERE TraceId IN {trace_ids:Array(String)})"


@cache
def rebuild_statements() -> tuple[str, ...]:
    """For each materialized view over ``otel_traces`` the INSERT that writes its target's rows for some traces again.

    Rows that are there already do no harm: what they say of a trace merges idempotently. The only parameter is
    ``trace_ids``, bare lower-case hex, bound as ``Array(String)``.
    """
    views: dict[str, tuple[str, str]] = {}
    for migration in migrations.load():
        for statement in migration.statements:
            if made := _VIEW.search(statement):
                views[made["name"]] = (made["target"], made["select"])
            elif gone := _DROP.search(statement):
                views.pop(gone["name"], None)
    return tuple(_insert(target, select) for target, select in views.values() if _SOURCE.search(select))


def _insert(target: str, select: str) -> str:
    """The INSERT of a view: columns by name, as the engine matches them for a view."""
    columns = _COLUMNS.search(select)
    if columns is None:
        raise ValueError(f"the view that fills {target} has no list of columns, one a line")
    names = ", ".join(item.rstrip(",").rpartition(" ")[2] for item in re.split(r",\n {4}(?=\S)", columns["items"]))
    return f"INSERT INTO {target} ({names})\n{_SOURCE.sub(lambda _: _STORED, select)}"
