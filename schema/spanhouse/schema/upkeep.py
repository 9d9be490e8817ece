"""Upkeep of a store step by step, as those tell it who do it here and those who have a server do it: events that JSON can hold.

The last event of each is its outcome.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from spanhouse.schema import parts, retention
from spanhouse.schema.check import problems
from spanhouse.schema.execute import Execute

Event = Mapping[str, Any]
"""Names and values as JSON has them."""


def check(execute: Execute) -> Iterator[Event]:
    """``{"problem": line}`` for each thing that is wrong, then ``{"problems": how many}``."""
    count = 0
    for problem in problems(execute):
        count += 1
        yield {"problem": problem}
    yield {"problems": count}


def compact(execute: Execute) -> Iterator[Event]:
    """Before each partition's merge which it is, then how many there were, and the bytes of all tables before and after."""
    before, merged = _bytes(execute), 0
    for merged, of, one in parts.compact(execute):
        yield {"place": merged, "of": of, "table": one.table, "partition": one.partition, "parts": one.parts, "bytes": one.bytes}
    yield {"merged": merged, "bytes_before": before, "bytes_after": _bytes(execute)}


def keep(execute: Execute, days: Mapping[str, int]) -> Iterator[Event]:
    """``{"keeps": name, "days": days}`` for each table, when it has been told; see ``retention``."""
    for name, count in days.items():
        retention.keep(execute, name, count)
        yield {"keeps": name, "days": count}


def _bytes(execute: Execute) -> int:
    return sum(one.bytes for one in parts.partitions(execute))
