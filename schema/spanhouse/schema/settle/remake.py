"""Remaking of rows: the rows of some traces are rewritten from all of their stored spans.

``touched_apart.sql`` chooses the traces: their parts at hand are incomplete, since spans come late, the trace runs for long or is very large,
its tags were edited, or its root moved. Aging gives quiet traces without root their place in time; cleaning removes tombstones and old parts.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spanhouse.schema.prices import price_cache
from spanhouse.schema.prices.price_cache import PriceCache
from spanhouse.schema.settle import row_statements
from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.driver import Execute, items, number

WINDOW_SECONDS: Final = 600
"""Age of the oldest parts at hand when an arrival is settled, counted back from the arrival."""
QUIET_SECONDS: Final = 60
"""A trace without root that got no span for this time is given its place in time."""
KEPT_SECONDS: Final = 7200
"""Least time for which parts are kept."""
MOST_SWEPT: Final = 10_000
"""Traces that one step of a sweep writes, at most."""
_TRACES_AT_ONCE: Final = 1_000
"""Traces that one statement remakes, at most: it holds their ids, and some drivers send it in a URL."""
_SPANS_AT_ONCE: Final = 20_000
"""Spans that one statement reads, about; bounds its memory."""
_MOST_LISTED: Final = 50_000
"""A trace with more spans gets a row without a list of its spans."""
_MOST_TOMBSTONES: Final = 5_000
"""Number of rows of waiting traces, tombstones included, above which tombstones are cleaned away: readers merge all of these rows."""
_OPEN_DAY: Final = "1970-01-01"
"""Day of rows that have no place in time."""

_BEFORE: Final = "SELECT toString(addSeconds(toDateTime64({at:String}, 3), -{seconds:UInt32}))"
_NOW: Final = "SELECT toString(now64(3))"
_MARK: Final = "INSERT INTO spanhouse_arrivals (Arrival) SELECT arrayJoin({arrivals:Array(UInt64)})"
_CLEAN: Final = "OPTIMIZE TABLE spanhouse_trace_rows PARTITION ID {partition:String} FINAL CLEANUP"
_DROP: Final = "ALTER TABLE spanhouse_trace_parts DROP PARTITION ID {partition:String}"


@dataclass(frozen=True, slots=True)
class Stored:
    """Stored spans of a trace: their number, and their first and last start in Unix nanoseconds."""

    trace_id: str
    spans: int = 0
    first_ns: int = 0
    last_ns: int = 0


def remake_traces(execute: Execute, trace_ids: Sequence[str], *, quiet: bool = False, prices: str | None = None) -> int:
    """Rewrite the rows of some traces from all of their stored spans; a row whose spans have expired only takes edits.

    Args:
        execute: runs a statement on the store.
        trace_ids: bare ids, lower-case hex; an id without anything stored is skipped.
        quiet: give traces without root their place in time, too.
        prices: version of the prices that costs are computed with; None keeps each row's own version.

    Returns:
        The number of ids.
    """
    remake_stored(execute, _stored(execute, trace_ids), quiet=quiet, prices=prices)
    return len(trace_ids)


def remake_stored(execute: Execute, traces: Iterable[Stored], *, quiet: bool = False, prices: str | None = None) -> None:
    """Rewrite the rows of some traces whose stored spans are counted already; see ``remake_traces``."""
    for batch in _batches(traces):
        _remake(execute, batch, quiet=quiet, prices=prices)


def remake_parts(execute: Execute, trace_ids: Sequence[str]) -> None:
    """Write parts of all stored spans of some traces, as a new arrival: so settling finds the spans of an insert that ended halfway."""
    for batch in _batches(_stored(execute, trace_ids)):
        made = {"trace_ids": [one.trace_id for one in batch], "arrival": secrets.randbits(64), **_bounds(batch)}
        execute(row_statements.remade_parts(), made)


def _stored(execute: Execute, trace_ids: Sequence[str]) -> Iterator[Stored]:
    """Count the stored spans of some traces; yield them in their order."""
    for first in range(0, len(trace_ids), _TRACES_AT_ONCE):
        some = list(trace_ids[first : first + _TRACES_AT_ONCE])
        found = {str(row[0]): Stored(str(row[0]), *map(number, row[1:])) for row in execute(migrations.statement("trace_times"), {"trace_ids": some})}
        yield from (found.get(trace_id, Stored(trace_id)) for trace_id in some)


def _batches(traces: Iterable[Stored]) -> Iterator[list[Stored]]:
    batch: list[Stored] = []
    spans = 0
    for one in traces:
        if batch and (len(batch) == _TRACES_AT_ONCE or spans + one.spans > _SPANS_AT_ONCE):
            yield batch
            batch, spans = [], 0
        batch.append(one)
        spans += one.spans
    if batch:
        yield batch


def _bounds(traces: Sequence[Stored]) -> Mapping[str, int]:
    """Return the parameters for the first and the last start of the spans of some traces."""
    return {"first": min(one.first_ns for one in traces), "last": max(one.last_ns for one in traces)}


def _remake(execute: Execute, traces: Sequence[Stored], *, quiet: bool, prices: str | None) -> None:
    trace_ids = [one.trace_id for one in traces]
    since = str(execute(_NOW)[0][0])
    # Parts made here are settled from the start: their rows are written below.
    arrival = secrets.randbits(64)
    made = {"trace_ids": trace_ids, "since": window_start(execute, since), "arrival": arrival, **_bounds(traces)}
    execute(migrations.statement("tombstones"), {"trace_ids": trace_ids})
    # Rows are read before spans: so a span that a row counts is missing only if it has expired.
    live = execute(migrations.statement("live_rows"), {"trace_ids": trace_ids})
    asked = {**made, "roots": [str(root) for row in live for root in items(row[3])]}
    if max(one.spans for one in traces) > _MOST_LISTED:
        found, rows = execute(row_statements.large_traces(), asked), row_statements.large_rows()
    else:
        mark_settled(execute, [arrival])
        execute(row_statements.remade_parts(), made)
        found, rows = execute(migrations.statement("made_traces"), asked), row_statements.remade_rows()
    whole = _whole(live, found)
    for some, version in _by_version_and_day(whole, live, prices):
        wanted = set(some)
        models = {str(model) for row in found if str(row[0]) in wanted for model in items(row[3])}
        priced = PriceCache(execute).as_of(version, models) if models else price_cache.parameters()
        execute(rows, {**made, "trace_ids": some, "quiet": int(quiet), **priced})
    if expired := sorted(set(trace_ids) - set(whole)):
        execute(row_statements.expired_rows(), {**made, "trace_ids": expired})


def _whole(live: Sequence[Sequence[object]], made: Sequence[Sequence[object]]) -> list[str]:
    """Return the traces whose spans are all stored: as many as their rows count, the root among them, and none expired before."""
    rows = {str(row[0]): row for row in live}

    def is_whole(trace_id: str, spans: object, rooted: object) -> bool:
        if trace_id not in rows:
            return True
        _, counted, partial, roots, *_ = rows[trace_id]
        return number(spans) >= number(counted) and not number(partial) and (bool(number(rooted)) or not items(roots))

    return sorted(str(trace_id) for trace_id, spans, rooted, _ in made if is_whole(str(trace_id), spans, rooted))


def _by_version_and_day(trace_ids: Sequence[str], live: Sequence[Sequence[object]], prices: str | None) -> Iterator[tuple[list[str], str]]:
    """Group traces by their version of prices and by the day of their rows; yield the traces of each group with the version.

    Traces whose rows have no place in time join the first day.
    """
    rows = {str(row[0]): (str(row[4]), str(row[5])) for row in live}
    by_version: dict[str, list[str]] = {}
    for trace_id in trace_ids:
        by_version.setdefault(rows.get(trace_id, ("", ""))[1] if prices is None else prices, []).append(trace_id)
    for version, some in by_version.items():
        days = {trace_id: rows.get(trace_id, (_OPEN_DAY, ""))[0] for trace_id in some}
        first = min(set(days.values()) - {_OPEN_DAY}, default=_OPEN_DAY)
        for day in sorted({first, *days.values()} - ({_OPEN_DAY} - {first})):
            yield [one for one in some if days[one] == day or (day == first and days[one] == _OPEN_DAY)], version


def age(execute: Execute, *, quiet_seconds: int = QUIET_SECONDS) -> int:
    """Give traces without root that got no span for ``quiet_seconds`` their place in time, and return their number."""
    found = execute(migrations.statement("quiet_traces"), {"seconds": quiet_seconds, "most": MOST_SWEPT})
    remake_traces(execute, [str(trace_id) for trace_id, anew in found if anew], quiet=True)
    if plain := [str(trace_id) for trace_id, anew in found if not anew]:
        execute(row_statements.aged_rows(), {"trace_ids": plain})
    return len(found)


def clean_waiting(execute: Execute, *, least_rows: int = _MOST_TOMBSTONES) -> None:
    """Remove the tombstones of traces whose roots have come, and the rows that they replaced."""
    for (partition,) in execute(migrations.statement("waiting_rows"), {"least": least_rows}):
        execute(_CLEAN, {"partition": partition})


def drop_old_parts(execute: Execute, *, kept_seconds: int = KEPT_SECONDS) -> int:
    """Drop the partitions of parts that are settled and older than ``kept_seconds``, and return their number."""
    found = execute(migrations.statement("old_parts"), {"seconds": kept_seconds})
    for (partition,) in found:
        execute(_DROP, {"partition": partition})
    return len(found)


def window_start(execute: Execute, at: str) -> object:
    """Return the earliest time of parts that are at hand for an arrival.

    Args:
        execute: runs a statement on the store.
        at: time of the arrival, by the engine's clock.
    """
    return execute(_BEFORE, {"at": at, "seconds": WINDOW_SECONDS})[0][0]


def mark_settled(execute: Execute, arrivals: Sequence[int]) -> None:
    """Record arrivals as settled."""
    execute(_MARK, {"arrivals": list(arrivals)})
