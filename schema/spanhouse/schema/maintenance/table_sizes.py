"""Sizes of a store's tables on disk, and compaction: the merge of each partition's parts into one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from spanhouse.schema.maintenance.retention import TIMES
from spanhouse.schema.tables.driver import Execute, number

_PARTS: Final = """SELECT table, partition_id, any(partition), count(), sum(rows), sum(bytes_on_disk)
FROM system.parts WHERE active AND database = currentDatabase()
GROUP BY table, partition_id ORDER BY table, partition_id"""
_SPANS: Final = "otel_traces"
_TRACES: Final = "SELECT count() FROM traces"


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of a table.

    Attributes:
        table: name of the table.
        partition_id: the engine's id of the partition.
        partition: value of the partition key; ``tuple()`` for a table without one.
        parts: number of parts on disk.
        rows: rows of all parts. Duplicates are merged in the background, so a query may show fewer.
        bytes: size on disk, compressed.
        oldest, newest: first and last time of its rows, as text in UTC; '' if rows have no time.
    """

    table: str
    partition_id: str
    partition: str
    parts: int
    rows: int
    bytes: int
    oldest: str = ""
    newest: str = ""


@dataclass(frozen=True, slots=True)
class Size:
    """Size of a store.

    Attributes:
        partitions: partitions by table, the oldest first.
        traces: number of traces.
    """

    partitions: tuple[Partition, ...]
    traces: int

    @property
    def spans(self) -> int:
        """Number of rows of ``otel_traces``."""
        return sum(partition.rows for partition in self.partitions if partition.table == _SPANS)

    @property
    def bytes(self) -> int:
        """Size of all tables on disk."""
        return sum(partition.bytes for partition in self.partitions)

    @property
    def bytes_per_span(self) -> float:
        """Bytes per span of ``otel_traces``; 0 if it is empty."""
        return sum(partition.bytes for partition in self.partitions if partition.table == _SPANS) / max(1, self.spans)

    @property
    def bytes_per_trace(self) -> float:
        """Bytes per trace of all other tables; 0 without traces."""
        return sum(partition.bytes for partition in self.partitions if partition.table != _SPANS) / self.traces if self.traces else 0.0


def size(execute: Execute) -> Size:
    """Measure the store.

    Args:
        execute: runs a statement on the store; need not write.
    """
    times = {table: _times(execute, table, column) for table, column in TIMES.values()}
    found = []
    for one in partitions(execute):
        oldest, newest = times.get(one.table, {}).get(one.partition_id, ("", ""))
        found.append(replace(one, oldest=oldest, newest=newest))
    return Size(tuple(found), number(execute(_TRACES)[0][0]))


def partitions(execute: Execute) -> tuple[Partition, ...]:
    """Return all partitions of all tables, without the times of their rows."""
    return tuple(
        Partition(str(table), str(identity), str(value), number(parts), number(rows), number(size))
        for table, identity, value, parts, rows, size in execute(_PARTS)
    )


def compact(execute: Execute) -> Iterator[tuple[int, int, Partition]]:
    """Merge the parts of each partition into one.

    Readers are not blocked. A partition needs its space on disk twice while it is merged.

    Args:
        execute: runs a statement on the store; must be allowed to OPTIMIZE.

    Yields:
        Before each merge: the number of the partition from 1, the number of all, and the partition.
    """
    todo = [one for one in partitions(execute) if one.parts > 1]
    for place, one in enumerate(todo, start=1):
        yield place, len(todo), one
        execute(f"OPTIMIZE TABLE `{one.table}` PARTITION ID '{one.partition_id}' FINAL")


def _times(execute: Execute, table: str, column: str) -> dict[str, tuple[str, str]]:
    first, last = (f"formatDateTime(toDateTime64({ends}({column}), 0, 'UTC'), '%F %T', 'UTC')" for ends in ("min", "max"))
    rows = execute(f"SELECT _partition_id, {first}, {last} FROM {table} GROUP BY _partition_id")  # noqa: S608 our own names
    return {str(identity): (str(oldest), str(newest)) for identity, oldest, newest in rows}
