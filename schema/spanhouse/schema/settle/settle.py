"""Rounds of settling: the parts that inserts left are merged into one row per trace.

An insert into ``otel_traces`` leaves parts, marked by the insert's identity, its arrival. A round takes the arrivals that are not settled yet and
writes the row of each trace that they touched, merged from all parts of the trace at hand. A row is a pure function of the spans, its version
grows with them, and writing it twice changes nothing; so any step may be repeated, by several processes, in any order.

Parts are kept for hours. A trace whose parts at hand are incomplete is remade from its spans, see ``remake``: its spans come late, it runs for
long, is very large, its tags were edited, or its root moved. The sweep gives quiet traces without root their place in time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from spanhouse.schema.prices.price_cache import PriceCache
from spanhouse.schema.settle import row_statements
from spanhouse.schema.settle.remake import (
    MOST_SWEPT,
    WINDOW_SECONDS,
    age,
    clean_waiting,
    drop_old_parts,
    mark_settled,
    remake_traces,
    window_start,
)
from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.driver import Execute, items, number

_COVERED_SECONDS: Final = WINDOW_SECONDS // 2
"""A trace whose earliest part at hand is older is remade, which leaves a new part that covers the whole trace: so no part leaves the window
unnoticed."""
_RECENT_SECONDS: Final = 120
_EVER_SECONDS: Final = 2**30
_MOST_ARRIVALS: Final = 500
_MOST_PARTS: Final = 20_000
"""Parts that one statement settles, about; bounds its memory."""
_MOST_SPANS: Final = 20_000
"""A trace with more spans at hand is remade, and rarely."""
_MOST_CULPRITS: Final = 16
"""If so many traces can't be settled, the store is faulty, not the traces."""

_NOW: Final = "SELECT toString(now())"
_LAST: Final = "SELECT toString(subtractSeconds(max(Settled), 60)) FROM spanhouse_trace_rows"
_TOUCHED: Final = """SELECT DISTINCT TraceId FROM spanhouse_trace_parts
WHERE Received >= {since:DateTime64(3)} AND Arrival IN {arrivals:Array(UInt64)}"""


@dataclass(frozen=True, slots=True)
class Settled:
    """Result of one round.

    Attributes:
        arrivals: number of arrivals that were settled.
        remade: number of traces that were remade from their spans.
        waiting: True if more arrivals wait.
    """

    arrivals: int = 0
    remade: int = 0
    waiting: bool = False


@dataclass(slots=True)
class Settler:
    """Rounds of settling of one store; for one thread at a time. Several processes may settle the same store.

    Attributes:
        execute: runs a statement on the store.
        due: traces to be remade by the next call of ``remake_due``.
        large: traces to be remade that have very many spans.
        culprits: traces whose own statement fails; all others are settled.
    """

    execute: Execute
    due: set[str] = field(default_factory=set)
    large: set[str] = field(default_factory=set)
    culprits: list[str] = field(default_factory=list)
    _held: set[int] = field(default_factory=set)
    """Arrivals that are settled except for traces in ``due``."""
    _held_by_large: set[int] = field(default_factory=set)
    """Arrivals that are settled except for traces in ``large``."""
    _gone_seconds: int = _EVER_SECONDS
    """Age of the tombstones that the next sweep reads: at first any age, since a killed process may have left some without a row."""
    _pricing: PriceCache = field(init=False)
    _fed: str = ""
    """Rows settled before this time are in the lists of metadata and models; '' if unknown yet."""

    def __post_init__(self) -> None:
        """Start with an empty cache of prices."""
        self._pricing = PriceCache(self.execute)

    def settle(self, *, everything: bool = False) -> Settled:
        """Settle waiting arrivals, as many as one statement can take; traces that must be remade are put into ``due`` or ``large``.

        Args:
            everything: read parts of any age; else parts of the last minutes, by the engine's clock.
        """
        seconds = _EVER_SECONDS if everything else _RECENT_SECONDS
        held = self._held | self._held_by_large
        waiting = self.execute(migrations.statement("waiting_arrivals"), {"seconds": seconds, "most": _MOST_ARRIVALS + len(held)})
        fresh = [(number(arrival), str(first), number(parts)) for arrival, first, parts, _ in waiting if number(arrival) not in held]
        if not fresh:
            return Settled()
        taken = _fitting(fresh)
        arrivals = [arrival for arrival, _, _ in taken]
        at_hand = {"arrivals": arrivals, "since": window_start(self.execute, taken[0][1])}
        bounds = {"most_spans": _MOST_SPANS, "covered_seconds": _COVERED_SECONDS}
        priced = self._pricing.parameters(str(model) for row in waiting for model in items(row[3]))
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
            mark_settled(self.execute, arrivals)
        return Settled(len(arrivals), waiting=len(taken) < len(fresh))

    def _write_rows(self, at_hand: Mapping[str, object], apart: Sequence[str]) -> None:
        """Write the rows of the touched traces, except those in ``apart``; traces whose rows can't be written become ``culprits``."""
        try:
            self.execute(row_statements.settle(), {**at_hand, "apart": apart})
        except Exception:  # noqa: BLE001 any failure of the whole is retried in halves
            touched = sorted({str(row[0]) for row in self.execute(_TOUCHED, at_hand)}.difference(apart))
            others = set(touched).union(apart)
            self.culprits.extend(
                _isolated(lambda some: self.execute(row_statements.settle(), {**at_hand, "apart": sorted(others.difference(some))}), touched)
            )

    def remake_due(self, *, large: bool = True) -> int:
        """Remake the traces in ``due`` from their spans, and return their number.

        Args:
            large: also remake the traces in ``large``, which cost much and so are remade rarely.
        """
        remade = 0
        for traces, held, wanted in ((self.due, self._held, True), (self.large, self._held_by_large, large)):
            if wanted and traces:
                self.culprits.extend(_isolated(lambda some: remake_traces(self.execute, some), sorted(traces)))
                remade += len(traces)
                traces.clear()
            if wanted and held:
                # An arrival held by both waits for both.
                if done := sorted(held.difference(self._held_by_large if held is self._held else ())):
                    mark_settled(self.execute, done)
                held.clear()
        return remade

    def feed(self) -> None:
        """Update the lists of metadata and of models from the rows settled since the last call."""
        self._pricing.renew()
        since = self._fed or str(self.execute(_LAST)[0][0])
        now = self.execute(_NOW)[0][0]
        for name in ("metadata_feed", "models_feed"):
            self.execute(migrations.statement(name), {"since": since})
        self._fed = str(now)

    def sweep(self) -> int:
        """Give quiet traces their place, apply edits that no row has yet, clean up; return the number of traces that were written."""
        edited = [str(row[0]) for row in self.execute(migrations.statement("unseen_edits"), {"most": MOST_SWEPT})]
        astray = self.execute(
            migrations.statement("astray_rows"), {"seconds": _RECENT_SECONDS, "gone_seconds": self._gone_seconds, "most": MOST_SWEPT}
        )
        remake_traces(self.execute, edited)
        # They get a place in time: at the place of waiting traces, the tombstone outranks a row.
        remake_traces(self.execute, [str(row[0]) for row in astray], quiet=True)
        self._gone_seconds = _RECENT_SECONDS
        aged = age(self.execute)
        clean_waiting(self.execute)
        drop_old_parts(self.execute)
        return aged + len(edited) + len(astray)


def settle_all(execute: Execute) -> Settled:
    """Settle everything that waits, and return the sum of all rounds."""
    settler = Settler(execute)
    arrivals = remade = 0
    while (done := settler.settle(everything=True)).arrivals:
        arrivals += done.arrivals
        remade += settler.remake_due()
    settler.feed()
    return Settled(arrivals, remade)


def _isolated(run: Callable[[list[str]], object], traces: list[str]) -> list[str]:
    """Run a function on all traces at once; if it fails, run it on halves, and return the traces for which it fails alone.

    Raises:
        Exception: the first error, if nothing succeeds or too many fail: then the store is faulty.
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
            except Exception:  # noqa: BLE001 the caller reports the traces that fail
                _halve(run, some, culprits)


def _fitting(fresh: Sequence[tuple[int, str, int]]) -> Sequence[tuple[int, str, int]]:
    """Return the earliest arrivals that one statement can take; at least one."""
    parts = 0
    for place, (_, _, count) in enumerate(fresh):
        parts += count
        if place and parts > _MOST_PARTS:
            return fresh[:place]
    return fresh
