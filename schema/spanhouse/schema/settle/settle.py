"""Settling: what inserts said of traces (parts) is merged into one row per trace.

An insert into ``otel_traces`` leaves parts, marked by the insert's identity, its arrival. Settling takes the arrivals that are not settled yet and
writes the row of each trace that they touched, merged from all parts of the trace that are at hand. A row is a pure function of the spans, its
version grows with them, and writing it twice changes nothing; so any step may be repeated, by several processes, in any order.

Parts are kept for hours. A trace that the parts at hand do not tell all of is made anew from its spans: one whose spans come later than that, that
runs for long, that is very large, whose tags were edited, or whose root moved. The sweep gives quiet traces without root their place in time.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from spanhouse.schema.prices import price_cache
from spanhouse.schema.prices.price_cache import PriceCache
from spanhouse.schema.settle import row_statements
from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.driver import Execute, number

WINDOW_SECONDS: Final = 600
"""Parts that came so long before an arrival are at hand when it is settled."""
_COVERED_SECONDS: Final = WINDOW_SECONDS // 2
"""A trace whose earliest part at hand is older is made anew, which leaves a part that covers all of it: so none leaves the window unseen."""
_RECENT_SECONDS: Final = 120
_EVER_SECONDS: Final = 2**30
_MOST_ARRIVALS: Final = 500
_MOST_PARTS: Final = 60_000
"""Parts that one statement settles, about: it bounds its memory."""
_MOST_SPANS: Final = 20_000
"""A trace with more spans at hand is made anew, and rarely."""
_TRACES_AT_ONCE: Final = 1_000
"""Traces that one statement makes anew, at most: where a statement goes in a URL, it holds their ids."""
_SPANS_AT_ONCE: Final = 20_000
"""Spans that one statement makes rows of, about: it bounds its memory."""
_MOST_LISTED: Final = 50_000
"""The row of a trace with more spans is made without a list of them."""
QUIET_SECONDS: Final = 60
"""A trace without root that got no span for so long is given its place in time."""
KEPT_SECONDS: Final = 7200
"""Least time for which parts are kept."""
_MOST_AT_ONCE: Final = 10_000
_MOST_TOMBSTONES: Final = 5_000
"""Rows of traces that wait for their roots, tombstones among them, from which on the tombstones are cleaned away: readers merge them all."""
_OPEN_DAY: Final = "1970-01-01"
"""Day of rows that have no place in time."""
_MOST_CULPRITS: Final = 16
"""If so many traces can't be settled, the store is to blame."""

_BEFORE: Final = "SELECT toString(addSeconds(toDateTime64({at:String}, 3), -{seconds:UInt32}))"
_NOW: Final = "SELECT toString(now64(3)), toString(now())"
_LAST: Final = "SELECT toString(subtractSeconds(max(Settled), 60)) FROM spanhouse_trace_rows"
_TOUCHED: Final = """SELECT DISTINCT TraceId FROM spanhouse_trace_parts
WHERE Received >= {since:DateTime64(3)} AND Arrival IN {arrivals:Array(UInt64)}"""
_MARK: Final = "INSERT INTO spanhouse_arrivals (Arrival) SELECT arrayJoin({arrivals:Array(UInt64)})"
_CLEAN: Final = "OPTIMIZE TABLE spanhouse_trace_rows PARTITION ID {partition:String} FINAL CLEANUP"
_DROP: Final = "ALTER TABLE spanhouse_trace_parts DROP PARTITION ID {partition:String}"


@dataclass(frozen=True, slots=True)
class Settled:
    """An account of one round.

    Attributes:
        arrivals: arrivals that were settled.
        remade: traces that were made anew from their spans.
        waiting: True if more arrivals wait.
    """

    arrivals: int = 0
    remade: int = 0
    waiting: bool = False


@dataclass(slots=True)
class Settler:
    """Settles a store, round by round; for one thread at a time. Several processes may settle the same store.

    Attributes:
        execute: runs a statement on the store.
        due: traces that are to be made anew, by the next call of ``remake_due``.
        large: such traces with very many spans.
        culprits: traces that can't be settled, and without which the others can.
    """

    execute: Execute
    due: set[str] = field(default_factory=set)
    large: set[str] = field(default_factory=set)
    culprits: list[str] = field(default_factory=list)
    _held: set[int] = field(default_factory=set)
    """Arrivals that are settled but for traces in ``due``."""
    _held_by_large: set[int] = field(default_factory=set)
    """Arrivals that are settled but for traces in ``large``."""
    _gone_seconds: int = _EVER_SECONDS
    """The next sweep looks at tombstones of so long: at first of all times, since a killed process may have left them alone."""
    _pricing: PriceCache = field(init=False)
    _fed: str = ""
    """Rows that were settled before this time are in the lists of metadata and models; '' if that is not known yet."""

    def __post_init__(self) -> None:
        """Begin without prices."""
        self._pricing = PriceCache(self.execute)

    def settle(self, *, everything: bool = False) -> Settled:
        """Settle the arrivals that wait, as many as one statement can take; traces that need more are put into ``due``.

        Args:
            everything: look at all parts, however old; else at those of the last minutes, by the engine's clock.
        """
        seconds = _EVER_SECONDS if everything else _RECENT_SECONDS
        held = self._held | self._held_by_large
        waiting = self.execute(migrations.statement("waiting_arrivals"), {"seconds": seconds, "most": _MOST_ARRIVALS + len(held)})
        fresh = [(number(arrival), str(first), number(parts)) for arrival, first, parts, _ in waiting if number(arrival) not in held]
        if not fresh:
            return Settled()
        taken = _as_many(fresh)
        arrivals = [arrival for arrival, _, _ in taken]
        at_hand = {"arrivals": arrivals, "since": self.execute(_BEFORE, {"at": taken[0][1], "seconds": WINDOW_SECONDS})[0][0]}
        bounds = {"most_spans": _MOST_SPANS, "covered_seconds": _COVERED_SECONDS}
        priced = self._pricing.parameters(str(model) for row in waiting for model in _items(row[3]))
        apart = {str(trace_id): reason for trace_id, reason in self.execute(migrations.statement("touched_apart"), {**at_hand, **bounds, **priced})}
        self._write_rows({**at_hand, **priced}, sorted(apart))
        large = {trace_id for trace_id, reason in apart.items() if reason == "large"}
        self.large |= large
        self.due |= apart.keys() - large
        if large:
            self._held_by_large.update(arrivals)
        if apart.keys() - large:
            self._held.update(arrivals)
        if not apart:
            _mark(self.execute, arrivals)
        return Settled(len(arrivals), waiting=len(taken) < len(fresh))

    def _write_rows(self, at_hand: Mapping[str, object], apart: Sequence[str]) -> None:
        """Write the rows of what was touched, but for some traces; those that can't be written are told apart."""
        try:
            self.execute(row_statements.settle(), {**at_hand, "apart": apart})
        except Exception:  # noqa: BLE001 what fails as a whole is tried in halves
            touched = sorted({str(row[0]) for row in self.execute(_TOUCHED, at_hand)}.difference(apart))
            others = set(touched).union(apart)
            self.culprits.extend(
                _isolated(lambda some: self.execute(row_statements.settle(), {**at_hand, "apart": sorted(others.difference(some))}), touched)
            )

    def remake_due(self, *, large: bool = True) -> int:
        """Make the traces in ``due`` anew from their spans, and return their number.

        Args:
            large: also those in ``large``, which cost much and so are made anew rarely.
        """
        remade = 0
        for traces, held, wanted in ((self.due, self._held, True), (self.large, self._held_by_large, large)):
            if wanted and traces:
                self.culprits.extend(_isolated(lambda some: remake(self.execute, some), sorted(traces)))
                remade += len(traces)
                traces.clear()
            if wanted and held:
                # What is held by both waits for both.
                if done := sorted(held.difference(self._held_by_large if held is self._held else ())):
                    _mark(self.execute, done)
                held.clear()
        return remade

    def feed(self) -> None:
        """Bring the lists of metadata and of models up to the rows that were settled lately."""
        self._pricing.renew()
        since = self._fed or str(self.execute(_LAST)[0][0])
        _, now = self.execute(_NOW)[0]
        for name in ("metadata_feed", "models_feed"):
            self.execute(migrations.statement(name), {"since": since})
        self._fed = str(now)

    def sweep(self) -> int:
        """Give quiet traces their place, apply edits that no row has seen, clean up; return the number of traces that were written."""
        edited = [str(row[0]) for row in self.execute(migrations.statement("unseen_edits"), {"most": _MOST_AT_ONCE})]
        astray = self.execute(
            migrations.statement("astray_rows"), {"seconds": _RECENT_SECONDS, "gone_seconds": self._gone_seconds, "most": _MOST_AT_ONCE}
        )
        remake(self.execute, edited)
        # In time: where a trace waited for its root its tombstone outranks it.
        remake(self.execute, [str(row[0]) for row in astray], quiet=True)
        self._gone_seconds = _RECENT_SECONDS
        aged = age(self.execute)
        clean_waiting(self.execute)
        drop_old_parts(self.execute)
        return aged + len(edited) + len(astray)


def _isolated(run: Callable[[list[str]], object], traces: list[str]) -> list[str]:
    """Do something for traces, for all at once if that succeeds, else in halves, and return those that it can't be done for.

    Raises:
        Exception: the first error, if the store is to blame: nothing succeeds, or too much fails.
    """
    try:
        run(traces)
    except Exception:
        culprits: list[str] = []
        _halve(run, traces, culprits)
        if len(culprits) in {len(traces), _MOST_CULPRITS}:
            raise
        return culprits
    return []


def _halve(run: Callable[[list[str]], object], traces: list[str], culprits: list[str]) -> None:
    middle = len(traces) // 2
    if not middle:
        culprits.extend(traces)
        return
    for some in (traces[:middle], traces[middle:]):
        if len(culprits) < _MOST_CULPRITS:
            try:
                run(some)
            except Exception:  # noqa: BLE001 whatever it is, it is told of by whoever asked
                _halve(run, some, culprits)


def settle_all(execute: Execute) -> Settled:
    """Settle everything that waits, and return the account of it."""
    settler = Settler(execute)
    arrivals = remade = 0
    while (done := settler.settle(everything=True)).arrivals:
        arrivals += done.arrivals
        remade += settler.remake_due()
    settler.feed()
    return Settled(arrivals, remade)


@dataclass(frozen=True, slots=True)
class Stored:
    """Spans that are stored of a trace: how many, and between when they start, in Unix nanoseconds."""

    trace_id: str
    spans: int = 0
    first_ns: int = 0
    last_ns: int = 0


def remake(execute: Execute, trace_ids: Sequence[str], *, quiet: bool = False, prices: str | None = None) -> int:
    """Write the rows of some traces anew, from all of their spans that are stored; a row whose spans have expired stays, edits aside.

    Args:
        execute: runs a statement on the store.
        trace_ids: bare ids, lower-case hex; an id that nothing is stored of is passed over.
        quiet: give also those without root their place in time.
        prices: version of the prices by which costs are computed; None keeps for each row the version that it has.

    Returns:
        The number of ids.
    """
    remake_stored(execute, _stored(execute, trace_ids), quiet=quiet, prices=prices)
    return len(trace_ids)


def remake_stored(execute: Execute, traces: Iterable[Stored], *, quiet: bool = False, prices: str | None = None) -> None:
    """Write the rows of some traces anew, of which is known how many spans are stored, and when these are; see ``remake``."""
    for batch in _batches(traces):
        _remake(execute, batch, quiet=quiet, prices=prices)


def tell_again(execute: Execute, trace_ids: Sequence[str]) -> None:
    """Make parts of all stored spans of some traces, as if they came now: so settling learns what an insert that ended halfway has left."""
    for batch in _batches(_stored(execute, trace_ids)):
        told = {"trace_ids": [one.trace_id for one in batch], "arrival": secrets.randbits(64), **_bounds(batch)}
        execute(row_statements.remade_parts(), told)


def _stored(execute: Execute, trace_ids: Sequence[str]) -> Iterator[Stored]:
    """Give what is stored of some traces, in their order."""
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
    """Return parameters that say between when the spans of some traces start."""
    return {"first": min(one.first_ns for one in traces), "last": max(one.last_ns for one in traces)}


def _remake(execute: Execute, traces: Sequence[Stored], *, quiet: bool, prices: str | None) -> None:
    trace_ids = [one.trace_id for one in traces]
    since = str(execute(_NOW)[0][0])
    # A part that is made here is settled from the start: what it tells is written below.
    arrival = secrets.randbits(64)
    early = execute(_BEFORE, {"at": since, "seconds": WINDOW_SECONDS})[0][0]
    made = {"trace_ids": trace_ids, "since": early, "arrival": arrival, **_bounds(traces)}
    execute(migrations.statement("tombstones"), {"trace_ids": trace_ids})
    # Rows are read before spans: so a span that a row counted is missing among them only if it has expired.
    live = execute(migrations.statement("live_rows"), {"trace_ids": trace_ids})
    asked = {**made, "roots": [str(root) for row in live for root in _items(row[3])]}
    if max(one.spans for one in traces) > _MOST_LISTED:
        found, rows = execute(row_statements.large_traces(), asked), row_statements.large_rows()
    else:
        _mark(execute, [arrival])
        execute(row_statements.remade_parts(), made)
        found, rows = execute(migrations.statement("made_traces"), asked), row_statements.remade_rows()
    whole = _whole(live, found)
    for some, version in _alike(whole, live, prices):
        wanted = set(some)
        models = {str(model) for row in found if str(row[0]) in wanted for model in _items(row[3])}
        priced = PriceCache(execute).as_of(version, models) if models else price_cache.parameters()
        execute(rows, {**made, "trace_ids": some, "quiet": int(quiet), **priced})
    if expired := sorted(set(trace_ids) - set(whole)):
        execute(row_statements.expired_rows(), {**made, "trace_ids": expired})


def _whole(live: Sequence[Sequence[object]], made: Sequence[Sequence[object]]) -> list[str]:
    """Return the traces whose spans are all there: as many as their rows counted, the root among them, and none was missing before."""
    rows = {str(row[0]): row for row in live}

    def is_whole(trace_id: str, spans: object, rooted: object) -> bool:
        if trace_id not in rows:
            return True
        _, counted, partial, roots, *_ = rows[trace_id]
        return number(spans) >= number(counted) and not number(partial) and (bool(number(rooted)) or not _items(roots))

    return sorted(str(trace_id) for trace_id, spans, rooted, _ in made if is_whole(str(trace_id), spans, rooted))


def _alike(trace_ids: Sequence[str], live: Sequence[Sequence[object]], prices: str | None) -> Iterator[tuple[list[str], str]]:
    """Divide traces by the version of prices that they keep, and by the day where their rows stand; give each version with its traces.

    Those whose rows have no place in time go with the first day.
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


def _items(cell: object) -> Sequence[object]:
    """Return the items of an array in a row."""
    return cell if isinstance(cell, Sequence) else ()


def age(execute: Execute, *, quiet_seconds: int = QUIET_SECONDS) -> int:
    """Give traces without root that got no span for a while their place in time, and return their number."""
    found = execute(migrations.statement("quiet_traces"), {"seconds": quiet_seconds, "most": _MOST_AT_ONCE})
    remake(execute, [str(trace_id) for trace_id, anew in found if anew], quiet=True)
    if plain := [str(trace_id) for trace_id, anew in found if not anew]:
        execute(row_statements.aged_rows(), {"trace_ids": plain})
    return len(found)


def clean_waiting(execute: Execute, *, least_rows: int = _MOST_TOMBSTONES) -> None:
    """Remove the tombstones of traces that have got their roots, and the rows that they replaced."""
    for (partition,) in execute(migrations.statement("waiting_rows"), {"least": least_rows}):
        execute(_CLEAN, {"partition": partition})


def drop_old_parts(execute: Execute, *, kept_seconds: int = KEPT_SECONDS) -> int:
    """Drop the partitions of parts that are settled and old, and return their number."""
    found = execute(migrations.statement("old_parts"), {"seconds": kept_seconds})
    for (partition,) in found:
        execute(_DROP, {"partition": partition})
    return len(found)


def _as_many(fresh: Sequence[tuple[int, str, int]]) -> Sequence[tuple[int, str, int]]:
    """Return the earliest arrivals that one statement can take; at least one."""
    parts = 0
    for place, (_, _, count) in enumerate(fresh):
        parts += count
        if place and parts > _MOST_PARTS:
            return fresh[:place]
    return fresh


def _mark(execute: Execute, arrivals: Sequence[int]) -> None:
    execute(_MARK, {"arrivals": list(arrivals)})
