"""Upkeep of a store as a stream of events that JSON can hold: the same where it is done here and where a server does it.

The last event of each is its outcome.
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
"""Names and values as JSON has them."""


def check(execute: Execute) -> Iterator[Event]:
    """Give ``{"problem": line}`` for each thing that is wrong, then ``{"problems": how many}``."""
    count = 0
    for problem in problems(execute):
        count += 1
        yield {"problem": problem}
    yield {"problems": count}


def compact(execute: Execute) -> Iterator[Event]:
    """Name each partition before its merge, then their number, and the bytes of all tables before and after."""
    before, merged = _bytes(execute), 0
    for merged, of, one in table_sizes.compact(execute):
        yield {"place": merged, "of": of, "table": one.table, "partition": one.partition, "parts": one.parts, "bytes": one.bytes}
    yield {"merged": merged, "bytes_before": before, "bytes_after": _bytes(execute)}


def keep(execute: Execute, days: Mapping[str, int], *, cluster: str | None = None) -> Iterator[Event]:
    """Give ``{"keeps": name, "days": days}`` for each table, when it has been told; see ``retention``."""
    for name, count in days.items():
        retention.keep(execute, name, count, cluster=cluster)
        yield {"keeps": name, "days": count}


def remake(execute: Execute, *, cluster: str | None = None) -> Iterator[Event]:
    """Make the rows of all traces anew: name each window when it is done, then give ``{"remade": number of windows}``."""
    return _remade(rebuild.remake_all(execute, cluster=cluster))


def reprice(execute: Execute, since_ns: int, *, cluster: str | None = None) -> Iterator[Event]:
    """Make the rows of traces with spans since a time anew by the current prices; as ``remake``, with ``prices``, their version, in the outcome."""
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
