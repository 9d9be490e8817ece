"""How to fill again what the views over ``otel_traces`` keep, for spans that are already stored.

A materialized view sees what is inserted while it exists. Spans that were stored without it, because the process died between the
insert into ``otel_traces`` and those that follow from it, or because the view is younger, are read again by its own SELECT.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from spanhouse.schema import migrations

_VIEW: Final = re.compile(r"CREATE MATERIALIZED VIEW IF NOT EXISTS (?P<name>\w+) TO (?P<target>\w+) AS\n(?P<select>.*)\Z", re.DOTALL)
_CHANGE: Final = re.compile(r"ALTER TABLE (?P<name>\w+) MODIFY QUERY\n(?P<select>.*)\Z", re.DOTALL)
_DROP: Final = re.compile(r"DROP VIEW IF EXISTS (?P<name>\w+)\Z")
_SOURCE: Final = re.compile(r"\bFROM (?P<source>otel_traces|trace_carriers)$", re.MULTILINE)
_COLUMNS: Final = re.compile(r"^SELECT\n(?P<items>.*?)\nFROM", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Rollup:
    """A materialized view over stored rows.

    Attributes:
        source: the table whose rows it sees: ``otel_traces``, or ``trace_carriers``, which is filled from it.
        target: the table that it writes.
        select: its SELECT.
    """

    source: str
    target: str
    select: str

    def insert(self, condition: str) -> str:
        """The INSERT that writes again what follows from some rows of the source: columns by name, as the engine matches them for a view.

        Rows that are there already do no harm: what they say merges idempotently.

        Args:
            condition: which rows, SQL over columns of the source; its parameters are the statement's.
        """
        columns = _COLUMNS.search(self.select)
        if columns is None:
            raise ValueError(f"the view that fills {self.target} has no list of columns, one a line")
        names = ", ".join(item.rstrip(",").rpartition(" ")[2] for item in re.split(r",\n {4}(?=\S)", columns["items"]))
        rows = f"FROM (SELECT * FROM {self.source} WHERE {condition})"  # noqa: S608 our own words; values are parameters
        return f"INSERT INTO {self.target} ({names})\n{_SOURCE.sub(lambda _: rows, self.select)}"


@cache
def rollups() -> tuple[Rollup, ...]:
    """All materialized views over stored rows, each after what fills its source."""
    views: dict[str, Rollup] = {}
    for migration in migrations.load():
        for statement in migration.statements:
            if (made := _VIEW.search(statement)) and (source := _SOURCE.search(made["select"])):
                views[made["name"]] = Rollup(source["source"], made["target"], made["select"])
            elif (changed := _CHANGE.search(statement)) and changed["name"] in views:
                views[changed["name"]] = replace(views[changed["name"]], select=changed["select"])
            elif gone := _DROP.search(statement):
                views.pop(gone["name"], None)
    return tuple(sorted(views.values(), key=lambda view: view.source != "otel_traces"))


@cache
def rebuild_statements() -> tuple[str, ...]:
    """For each view over ``otel_traces`` the INSERT that writes its target's rows for some traces again; views over targets follow by themselves.

    The only parameter is ``trace_ids``, bare lower-case hex, bound as ``Array(String)``.
    """
    return tuple(view.insert("TraceId IN {trace_ids:Array(String)}") for view in rollups() if view.source == "otel_traces")
