"""Alignment of two traces, span by span, to show which spans took the time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spanhouse.query.models import Span, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanPair:
    """A span of one trace and its counterpart in the other. Values of a missing counterpart are None.

    Attributes:
        depth: how many spans it is below, 0 for a root.
        name: the span's name.
        service: the service it ran in.
        base_ns: how long it took in the first trace, in ns.
        new_ns: in the second.
        base_self_ns: the part of it in which none of its children ran.
        new_self_ns: likewise.
        base_error: whether it failed.
        new_error: likewise.
    """

    depth: int
    name: str
    service: str
    base_ns: int | None
    new_ns: int | None
    base_self_ns: int | None
    new_self_ns: int | None
    base_error: bool | None
    new_error: bool | None

    @property
    def self_change_ns(self) -> int:
        """Change of the span's self time; over all pairs it adds up to the change of the traces, where nothing ran side by side."""
        return (self.new_self_ns or 0) - (self.base_self_ns or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceDiff:
    """Two traces side by side.

    Attributes:
        base: id of the first.
        new: id of the second.
        pairs: of spans, each below its parent, siblings in the order of their start.
    """

    base: str
    new: str
    pairs: Sequence[SpanPair]

    def to_dict(self) -> dict[str, Any]:
        """Return the difference as a JSON object."""
        return asdict(self)

    def guilty(self) -> Sequence[SpanPair]:
        """Return the pairs whose self time grew, the greatest growth first."""
        return sorted((pair for pair in self.pairs if pair.self_change_ns > 0), key=lambda pair: -pair.self_change_ns)


def diff(base: Trace, new: Trace) -> TraceDiff:
    """Align the spans of two traces: below spans that belong together, the n-th of a name and service with the n-th of the same."""
    below = [_children(trace.data.spans) for trace in (base, new)]
    pairs = []
    waiting: list[tuple[int, Span | None, Span | None]] = [(-1, None, None)]
    while waiting:
        depth, *sides = waiting.pop()
        parents = [""] * 2 if depth < 0 else [None if span is None else span.span_id for span in sides]
        children = [[] if parent is None else below[side][parent] for side, parent in enumerate(parents)]
        if depth >= 0:
            pairs.append(_pair(depth, sides, children))
        waiting += [(depth + 1, *matched) for matched in reversed(_matched(children))]
    return TraceDiff(base=base.info.trace_id, new=new.info.trace_id, pairs=pairs)


def _children(spans: Sequence[Span]) -> dict[str, list[Span]]:
    """Group spans by their parent's id, in order of their start; '' has those without a stored parent, and one of each circle (broken senders)."""
    known = {span.span_id for span in spans}
    children: dict[str, list[Span]] = defaultdict(list)
    for span in sorted(spans, key=lambda span: (span.start_time_ns, span.span_id)):
        children[span.parent_id if span.parent_id in known and span.parent_id is not None else ""].append(span)
    reached: set[str] = set()
    for span in [*children[""], *spans]:
        if span.span_id in reached:
            continue
        if span.parent_id in known and span.parent_id is not None:  # all of the circle's have a parent: this one is taken from its own
            children[span.parent_id].remove(span)
            children[""].append(span)
        waiting = [span]
        while waiting:
            one = waiting.pop()
            reached.add(one.span_id)
            waiting += children[one.span_id]
    return children


def _matched(children: Sequence[Sequence[Span]]) -> list[tuple[Span | None, Span | None]]:
    """Pair siblings of both sides, in the order of their start after that of the first sibling."""
    places: dict[tuple[str, str, int], list[Span | None]] = {}
    for side, spans in enumerate(children):
        seen: dict[tuple[str, str], int] = defaultdict(int)
        for span in spans:
            key = (span.name, span.service_name)
            places.setdefault((*key, seen[key]), [None, None])[side] = span
            seen[key] += 1
    begun = [min((span.start_time_ns for span in spans), default=0) for spans in children]

    def start(pair: Sequence[Span | None]) -> int:
        return next(span.start_time_ns - begun[side] for side in (1, 0) if (span := pair[side]) is not None)

    return [(base, new) for base, new in sorted(places.values(), key=start)]


def _pair(depth: int, sides: Sequence[Span | None], children: Sequence[Sequence[Span]]) -> SpanPair:
    base, new = sides
    one = new if new is not None else base
    assert one is not None  # noqa: S101 (a pair has at least one side)
    return SpanPair(
        depth=depth,
        name=one.name,
        service=one.service_name,
        base_ns=None if base is None else base.end_time_ns - base.start_time_ns,
        new_ns=None if new is None else new.end_time_ns - new.start_time_ns,
        base_self_ns=None if base is None else _self_ns(base, children[0]),
        new_self_ns=None if new is None else _self_ns(new, children[1]),
        base_error=None if base is None else base.status == "ERROR",
        new_error=None if new is None else new.status == "ERROR",
    )


def _self_ns(span: Span, children: Sequence[Span]) -> int:
    """Return the time of a span while none of its children, which come in the order of their start, ran."""
    spent, reached = 0, span.start_time_ns
    for child in children:
        begin = max(reached, child.start_time_ns)
        reached = max(reached, min(child.end_time_ns, span.end_time_ns))
        spent += max(0, reached - begin)
    return span.end_time_ns - span.start_time_ns - spent
