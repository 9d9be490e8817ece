"""Adoption of an ``otel_traces`` table of the Collector's exporter: a copy into ours, in windows of time, and a comparison of both.

Differences between old and new templates of the exporter are normalised: the long spellings of kinds and states, durations as Int64, or as UInt64
that wrapped below zero. A span whose trace and span id the store has already is not copied again; so a copy may be interrupted and repeated, and
may run while new spans come in. The traces of each window are settled with the window.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from spanhouse.schema.maintenance import windows
from spanhouse.schema.maintenance.rebuild import long_traces, remake_window
from spanhouse.schema.maintenance.windows import IN_WINDOW, Step, Window
from spanhouse.schema.settle import settle
from spanhouse.schema.tables.driver import Execute, MigrationError, number

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_COLUMNS_OF: Final = "SELECT name, type FROM system.columns WHERE database = {database:String} AND table = {table:String}"

_SELECTED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Timestamp": "Timestamp",
        "TraceId": "lower(TraceId)",
        "SpanId": "lower(SpanId)",
        "ParentSpanId": "lower(ParentSpanId)",
        "TraceState": "TraceState",
        "SpanName": "SpanName",
        "SpanKind": "if(startsWith(SpanKind, 'SPAN_KIND_'), initcap(lower(substring(SpanKind, 11))), SpanKind)",
        "ServiceName": "ServiceName",
        "ResourceAttributes": "ResourceAttributes",
        "ScopeName": "ScopeName",
        "ScopeVersion": "ScopeVersion",
        "SpanAttributes": "SpanAttributes",
        "Duration": "toUInt64(greatest(toInt64(Duration), 0))",
        "StatusCode": "if(startsWith(StatusCode, 'STATUS_CODE_'), initcap(lower(substring(StatusCode, 13))), StatusCode)",
        "StatusMessage": "StatusMessage",
        **{name: f"`{name}`" for name in ("Events.Timestamp", "Events.Name", "Events.Attributes")},
        **{name: f"`{name}`" for name in ("Links.TraceId", "Links.SpanId", "Links.TraceState", "Links.Attributes")},
    }
)
"""Column of the exporter -> SQL of its value, over the exporter's table."""
_NAMES: Final = ", ".join(f"`{name}`" for name in _SELECTED)
_HASH: Final = f"cityHash64({_NAMES})"

_WINDOW: Final = IN_WINDOW.replace("{", "{{").replace("}", "}}")
"""``IN_WINDOW`` for texts that ``str.format`` fills in."""
_SOURCE: Final = f"""SELECT *, {_HASH} AS Hash FROM
(
    SELECT {", ".join(f"{expression} AS `{name}`" for name, expression in _SELECTED.items())}
    FROM
    (
        SELECT * FROM {{source}} WHERE {_WINDOW} AND TraceId != '' AND SpanId != ''
    )
)
ORDER BY Hash LIMIT 1 BY TraceId, SpanId"""  # noqa: S608 our own names, and one that was checked
_STORED: Final = f"FROM otel_traces WHERE {_WINDOW}"
_COPY: Final = f"""INSERT INTO otel_traces ({_NAMES})
SELECT {_NAMES} FROM ({_SOURCE}) WHERE (TraceId, SpanId) NOT IN (SELECT TraceId, SpanId {_STORED})
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0"""  # noqa: S608 as above
_COMPARE: Final = f"""SELECT count(), countIf(stored.Found), countIf(stored.Found AND has(stored.Hashes, source.Hash))
FROM ({_SOURCE}) AS source
LEFT JOIN (SELECT TraceId, SpanId, 1 AS Found, groupArray({_HASH}) AS Hashes {_STORED} GROUP BY TraceId, SpanId) AS stored
ON source.TraceId = stored.TraceId AND source.SpanId = stored.SpanId"""  # noqa: S608 as above


@dataclass(frozen=True, slots=True)
class Adopted:
    """Result of one run of a copy. A resumed run counts only the windows that were left.

    Attributes:
        rows: rows of the other table.
        spans: spans with distinct ids among them; the store has all of them.
        equal: spans that the store has with the other table's values. The rest were there before, with other values.
    """

    rows: int = 0
    spans: int = 0
    equal: int = 0


def adopt(
    execute: Execute, table: str, *, database: str | None = None, report: Callable[[Step], None] = lambda _: None, cluster: str | None = None
) -> Adopted:
    """Copy the spans of another table on the same server.

    Args:
        execute: runs a statement on the store.
        table: name of the table.
        database: database of the table; None for the store's own database.
        report: called after each window, see ``windows``.
        cluster: name of the cluster, if the store is one.

    Raises:
        MigrationError: the table does not exist or is not the exporter's, or the store lacks a span after it was copied.
    """
    source = _check(execute, table, database)
    total = Adopted()

    def work(window: Window, resumed: bool) -> None:
        nonlocal total
        execute(_COPY.format(source=source), window.parameters)
        if resumed:
            # The earlier run may have ended between spans and their parts.
            remake_window(execute, window, long_traces(execute))
        settle.settle_all(execute)
        spans, stored, equal = (number(cell) for cell in execute(_COMPARE.format(source=source), window.parameters)[0])
        if stored != spans:
            raise MigrationError(f"{spans - stored} of {spans} spans of {source} are not in the store after they were copied: run it again")
        total = replace(total, rows=total.rows + window.spans, spans=total.spans + spans, equal=total.equal + equal)

    for step in windows.run(execute, f"adopt {source}", source, work, cluster=cluster):
        report(step)
    return total


def _check(execute: Execute, table: str, database: str | None) -> str:
    """Check the table's columns, and return its quoted name."""
    own = str(execute("SELECT currentDatabase()")[0][0])
    where = own if database is None else database
    for name in (where, table):
        if not _IDENTIFIER.match(name):
            raise MigrationError(f"{name!r} is no name of a table or database (letters, digits, _)")
    if (where, table) == (own, "otel_traces"):
        raise MigrationError("otel_traces is the store's own table: name another one, or another database by --from")
    columns = {str(name): str(kind) for name, kind in execute(_COLUMNS_OF, {"database": where, "table": table})}
    if not columns:
        raise MigrationError(f"there is no table {where}.{table}")
    if columns.get("SpanAttributes") == "JSON":
        raise MigrationError(f"{where}.{table} has its attributes as JSON, which can't be adopted: only maps can")
    nested = {name for name, kind in columns.items() if kind.startswith(("Nested", "Array(Tuple"))}
    if missing := [name for name in _SELECTED if name not in columns and name.partition(".")[0] not in nested]:
        raise MigrationError(f"{where}.{table} is no table of the Collector's exporter: it has no {', '.join(missing)}")
    return f"`{where}`.`{table}`"
