"""Resumable work on a whole table in windows of time, with a record of finished windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from spanhouse.schema.tables.cluster import on_every_server
from spanhouse.schema.tables.driver import Execute, number

_SPANS: Final = 1_000_000
"""Spans of a window, about: an INSERT ... SELECT of a window needs some hundred megabytes."""
_HOUR_NS: Final = 3600 * 10**9
_DAY_NS: Final = 24 * _HOUR_NS
_LAST_NS: Final = 2**63 - 1
"""Last time that the engine can store."""
IN_WINDOW: Final = "Timestamp BETWEEN fromUnixTimestamp64Nano({first:Int64}) AND fromUnixTimestamp64Nano({last:Int64})"
"""Condition on rows with a ``Timestamp``; its parameters are those of ``Window.parameters``."""
AROUND_WINDOW: Final = "Timestamp BETWEEN fromUnixTimestamp64Nano({day_before:Int64}) AND fromUnixTimestamp64Nano({day_after:Int64})"
"""``IN_WINDOW`` with a day before and after the window."""

_HOURS: Final = "SELECT intDiv(toUnixTimestamp64Nano(Timestamp), 3600000000000) AS hour, count() FROM {table} GROUP BY hour ORDER BY hour DESC"
_CREATE: Final = """CREATE TABLE IF NOT EXISTS spanhouse_progress
(
    job String,
    window String,
    at DateTime64(3) DEFAULT now64(3)
)
ENGINE = MergeTree
PARTITION BY job
ORDER BY window"""
_DONE: Final = "SELECT window FROM spanhouse_progress WHERE job = {job:String}"
_RECORD: Final = "INSERT INTO spanhouse_progress (job, window) SELECT {job:String}, {window:String}"
_BEGUN: Final = "begun"
"""Entry among the windows of a job that marks its start."""
_FORGET: Final = "ALTER TABLE spanhouse_progress DROP PARTITION {job:String}"


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time, at most an hour.

    Attributes:
        first_ns, last_ns: first and last moment, in Unix nanoseconds.
        spans: number of spans that start in the window, about.
    """

    first_ns: int
    last_ns: int
    spans: int

    @property
    def parameters(self) -> dict[str, object]:
        """Parameters of ``IN_WINDOW`` and ``AROUND_WINDOW``."""
        return {
            "first": self.first_ns,
            "last": self.last_ns,
            "day_before": max(0, self.first_ns - _DAY_NS),
            "day_after": min(_LAST_NS, self.last_ns + _DAY_NS),
        }

    def __str__(self) -> str:
        return f"{self.first_ns}-{self.last_ns}"


@dataclass(frozen=True, slots=True)
class Step:
    """Progress of the work: a window was finished.

    Attributes:
        window: finished window.
        done, windows: number of finished windows, and of all, those of an earlier run included.
    """

    window: Window
    done: int
    windows: int


def windows(execute: Execute, table: str) -> tuple[Window, ...]:
    """Divide all spans of a table into windows, the newest first.

    Args:
        execute: runs a statement on the store.
        table: quoted name of a table with the columns of ``otel_traces``.
    """
    found = [(number(hour), number(spans)) for hour, spans in execute(_HOURS.format(table=table))]
    return tuple(window for hour, spans in found for window in _slices(hour, spans))


def _slices(hour: int, spans: int) -> Iterator[Window]:
    count = -(-spans // _SPANS)
    for index in reversed(range(count)):
        first, after = (hour * _HOUR_NS + _HOUR_NS * place // count for place in (index, index + 1))
        yield Window(first, min(after - 1, _LAST_NS), spans // count)


def run(
    execute: Execute,
    job: str,
    table: str,
    work: Callable[[Window, bool], None],
    *,
    cluster: str | None = None,
    source: Execute | None = None,
    since_ns: int = 0,
) -> Iterator[Step]:
    """Do the work for each window that no interrupted run of the same job has finished; yield a step after each window.

    Args:
        execute: runs a statement on the store.
        job: name of the work; a later run with the same name resumes an interrupted one. The record of a complete run is deleted.
        table: quoted name of the table whose spans are worked on.
        work: does one window, repeatably; its second argument is True if an earlier run may have begun the window.
        cluster: name of the cluster, if the store is one.
        source: runs a statement on the table's store; None for the same store.
        since_ns: leave out windows that end before this moment, in Unix nanoseconds.
    """
    execute(_CREATE if cluster is None else on_every_server(_CREATE, cluster))
    finished = {str(row[0]) for row in execute(_DONE, {"job": job})}
    resumed = bool(finished)
    execute(_RECORD, {"job": job, "window": _BEGUN})
    every = [window for window in windows(source or execute, table) if window.last_ns >= since_ns]
    for done, window in enumerate(sorted(every, key=lambda one: str(one) not in finished), start=1):
        if str(window) not in finished:
            work(window, resumed)
            execute(_RECORD, {"job": job, "window": str(window)})
        yield Step(window, done, len(every))
    execute(_FORGET, {"job": job})
