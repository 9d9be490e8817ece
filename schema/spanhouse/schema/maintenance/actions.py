"""Store maintenance as streams of JSON events; used in-process and over the server's API.

The last event of each action is its outcome.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from spanhouse.schema.maintenance import rebuild, retention, table_sizes
from spanhouse.schema.maintenance.integrity import problems
from spanhouse.schema.maintenance.windows import Step
from spanhouse.schema.prices import price_store, price_table
from spanhouse.schema.tables.driver import Execute

Event = Mapping[str, Any]
"""JSON object of an event."""


def check(execute: Execute) -> Iterator[Event]:
    """Yield ``{"problem": line}`` for each problem, then ``{"problems": count}``."""
    count = 0
    for problem in problems(execute):
        count += 1
        yield {"problem": problem}
    yield {"problems": count}


def compact(execute: Execute) -> Iterator[Event]:
    """Yield each partition before its merge, then their number and the bytes of all tables before and after."""
    before, merged = _bytes(execute), 0
    for merged, of, one in table_sizes.compact(execute):
        yield {"place": merged, "of": of, "table": one.table, "partition": one.partition, "parts": one.parts, "bytes": one.bytes}
    yield {"merged": merged, "bytes_before": before, "bytes_after": _bytes(execute)}


def keep(execute: Execute, days: Mapping[str, int]) -> Iterator[Event]:
    """Set the retention of tables; yield ``{"keeps": name, "days": days}`` after each, see ``retention``."""
    for name, count in days.items():
        retention.keep(execute, name, count)
        yield {"keeps": name, "days": count}


def remake(execute: Execute, *, cluster: str | None = None) -> Iterator[Event]:
    """Remake the rows of all traces: yield each finished window, then ``{"remade": number of windows}``."""
    return _remade(rebuild.remake_all(execute, cluster=cluster))


def reprice(execute: Execute, since_ns: int, *, cluster: str | None = None) -> Iterator[Event]:
    """Remake the rows of traces with spans since a time with the current prices; as ``remake``, the outcome also has the version as ``prices``."""
    version = price_table.current_version(price_store.read(execute))
    yield from _remade(rebuild.reprice(execute, since_ns, version, cluster=cluster), prices=version)


def _remade(steps: Iterator[Step], **outcome: str) -> Iterator[Event]:
    count = 0
    for step in steps:
        count = step.windows
        yield {"done": step.done, "windows": step.windows, "first_ns": step.window.first_ns, "spans": step.window.spans}
    yield {"remade": count, **outcome}


def _bytes(execute: Execute) -> int:
    return sum(one.bytes for one in table_sizes.partitions(execute))
