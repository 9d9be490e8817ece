"""Settling: what inserts said of traces (parts) is merged into one row per trace.

An insert into ``otel_traces`` leaves parts, marked by the insert's identity, its arrival. Settling takes the arrivals that are not settled yet and
writes the row of each trace that they touched, merged from all parts of the trace that are at hand. A row is a pure function of the spans, its version
grows with them, and writing it twice changes nothing; so any step may be repeated, by several processes, in any order.

Parts are kept for hours. A trace that the parts at hand do not tell all of is made anew from its spans: one whose spans come later than that, that
runs for long, that is very large, whose tags were edited, or whose root moved. The sweep gives quiet traces without root their place in time.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Final

from spanhouse.schema import migrations
from spanhouse.schema.execute import Execute, number

_log = logging.getLogger(__name__)

WINDOW_SECONDS: Final = 600
"""Parts that came so long before an arrival are at hand when it is settled."""
_COVERED_SECONDS: Final = WINDOW_SECONDS // 2
"""A trace whose earliest part at hand is older is made anew, which leaves a part that covers all of it: so none ever leaves the window unseen."""
_RECENT_SECONDS: Final = 120
_EVER_SECONDS: Final = 2**31
_MOST_ARRIVALS: Final = 500
_MOST_PARTS: Final = 60_000
"""Parts that one statement settles, about: it bounds its memory."""
_MOST_SPANS: Final = 20_000
"""A trace with more spans at hand is made anew, and rarely."""
_TRACES_AT_ONCE: Final = 200
"""Traces that one statement makes anew."""
QUIET_SECONDS: Final = 60
"""A trace without root that got no span for so long is given its place in time."""
KEPT_SECONDS: Final = 7200
"""How long parts are kept, at least."""

_NAMES: Final = re.compile(r"^    .*?(?:AS )?(`?[\w.]+`?)(?:,|(?=\nFROM))$", re.MULTILINE)
_VERSION: Final = (
    "bitShiftLeft(toUInt128(SpanCount), 96) + bitShiftLeft(toUInt128(least(Stamped, 65535)), 80) + bitAnd(cityHash64("
    "Timestamp, RootSpanId, Name, State, Duration, ErrorCount, ifNull(InputTokens, -1), ifNull(OutputTokens, -1), ifNull(Cost, -1), "
    "Metadata, Tags, `Services.Spans`), 65535)"
)
_INTERNAL: Final = frozenset({"Stamped", "Several"})
_PARTS_AT_HAND: Final = """(
    SELECT * FROM spanhouse_trace_parts
    WHERE Received >= {since:DateTime64(3)}
      AND Key IN (SELECT touched.Key FROM spanhouse_trace_parts AS touched WHERE touched.Received >= {since:DateTime64(3)} AND touched.Arrival IN {arrivals:Array(UInt64)})
      AND TraceId NOT IN {apart:Array(String)}
)"""
_PARTS_MADE: Final = """(
    SELECT * FROM spanhouse_trace_parts
    WHERE Received >= {since:DateTime64(3)} AND Arrival = 0 AND TraceId IN {trace_ids:Array(String)}
)"""
_NOW: Final = "SELECT toString(now64(3))"
_MARK: Final = "INSERT INTO spanhouse_arrivals (Arrival) SELECT arrayJoin({arrivals:Array(UInt64)})"


@dataclass(frozen=True, slots=True)
class Settled:
    """An account of one round.

    Attributes:
        arrivals: arrivals whose traces have their rows now.
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
    """

    execute: Execute
    due: set[str] = field(default_factory=set)
    _held: set[int] = field(default_factory=set)
    """Arrivals that are settled but for traces in ``due``."""

    def settle(self, *, everything: bool = False) -> Settled:
        """Settle the arrivals that wait, as many as one statement can take; traces that need more are put into ``due``.

        Args:
            everything: look at all parts, however old; else at those of the last minutes, by the engine's clock.
        """
        seconds = _EVER_SECONDS if everything else _RECENT_SECONDS
        waiting = self.execute(migrations.statement("waiting_arrivals"), {"seconds": seconds, "most": _MOST_ARRIVALS + len(self._held)})
        fresh = [(number(arrival), first, number(parts)) for arrival, first, parts in waiting if number(arrival) not in self._held]
        if not fresh:
            return Settled()
        taken = _as_many(fresh)
        arrivals = [arrival for arrival, _, _ in taken]
        parameters: dict[str, object] = {"arrivals": arrivals, "since": _before(taken[0][1])}
        apart = [str(trace_id) for trace_id, _ in self.execute(
            migrations.statement("touched_apart"), {**parameters, "most_spans": _MOST_SPANS, "covered_seconds": _COVERED_SECONDS}
        )]
        self.execute(_settle_statement(), {**parameters, "apart": apart})
        if apart:
            self.due.update(apart)
            self._held.update(arrivals)
        else:
            self._mark(arrivals)
        return Settled(len(arrivals), waiting=len(taken) < len(fresh))

    def remake_due(self) -> int:
        """Make the traces in ``due`` anew from their spans, and return their number."""
        remade = remake(self.execute, sorted(self.due))
        self.due.clear()
        if self._held:
            self._mark(sorted(self._held))
            self._held.clear()
        return remade

    def _mark(self, arrivals: Sequence[int]) -> None:
        self.execute(_MARK, {"arrivals": list(arrivals)})


def settle_all(execute: Execute) -> Settled:
    """Settle everything that waits, and return the account of it."""
    settler = Settler(execute)
    arrivals = remade = 0
    while (done := settler.settle(everything=True)).arrivals:
        arrivals += done.arrivals
        remade += settler.remake_due()
    return Settled(arrivals, remade)


def remake(execute: Execute, trace_ids: Sequence[str], *, quiet: bool = False) -> int:
    """Write the rows of some traces anew, from all of their spans that are stored; a row whose spans have expired stays, edits aside.

    Args:
        execute: runs a statement on the store.
        trace_ids: bare ids, lower-case hex; an id that nothing is stored of is passed over.
        quiet: give also those without root their place in time.
    """
    for first in range(0, len(trace_ids), _TRACES_AT_ONCE):
        some = list(trace_ids[first : first + _TRACES_AT_ONCE])
        since = str(execute(_NOW)[0][0])
        execute(migrations.statement("tombstones"), {"trace_ids": some})
        execute(_remade_parts(), {"trace_ids": some})
        made = {"trace_ids": some, "since": since}
        whole = {str(row[0]) for row in execute(migrations.statement("whole_traces"), made)}
        if whole:
            execute(_remade_statement(), {"trace_ids": sorted(whole), "since": since, "quiet": int(quiet)})
        if expired := sorted(set(some) - whole):
            execute(_expired_statement(), {"trace_ids": expired, "since": since})
    return len(trace_ids)


def age(execute: Execute, *, quiet_seconds: int = QUIET_SECONDS, most: int = 10_000) -> int:
    """Give traces without root that got no span for a while their place in time, and return their number."""
    found = execute(migrations.statement("quiet_traces"), {"seconds": quiet_seconds, "most": most})
    doubtful = [str(trace_id) for trace_id, doubt in found if doubt]
    plain = [str(trace_id) for trace_id, doubt in found if not doubt]
    remake(execute, doubtful, quiet=True)
    if plain:
        execute(_filled("aged_rows"), {"trace_ids": plain})
    return len(found)


@cache
def row_columns() -> tuple[str, ...]:
    """Return the columns that ``settled_rows`` gives, as they stand in SQL; ``Sorted``, ``Version`` and ``Gone`` come from the statement around it."""
    text = migrations.statement("settled_rows")
    outermost = text[: text.index("\nFROM\n")] + "\nFROM"
    return tuple(name for name in _NAMES.findall(outermost) if name not in _INTERNAL)


def _filled(name: str, *, settled: str = "", **columns: str) -> str:
    names = ", ".join(row_columns())
    text = migrations.statement(name)
    head, separator, rest = text.partition("\nSELECT" if "\nWITH" not in text else "\nWITH")
    values = ", ".join(columns.get(name, name) for name in row_columns())
    inner = migrations.statement("settled_rows").replace("{parts}", settled)
    return head.replace("{columns}", names) + (separator + rest).replace("{columns}", values).replace("{version}", _VERSION).replace("{settled}", inner)
