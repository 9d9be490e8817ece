"""A trace's spans as a tree: who called whom, when, for how long."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from spanhouse.cli.output import Column, safe, show_table
from spanhouse.cli.text import duration, one_line
from spanhouse.query import Span

_SERVICE: Final = Column(title="service", style="dim")
"""Shown where a trace runs through more than one."""
_COLUMNS: Final = (
    Column(title="start", right=True, whole=True, style="dim"),
    Column(title="duration", right=True, whole=True),
    Column(title="", whole=True),
    Column(title="span"),
    _SERVICE,
    Column(title="status"),
)
_BAR_CELLS: Final = 24


@dataclass(frozen=True, slots=True)
class _Glyphs:
    """Characters that lines and bars are drawn with."""

    bar: str
    child: str
    last: str
    beside: str


_FINE: Final = _Glyphs("█", "├─ ", "└─ ", "│  ")
_PLAIN: Final = _Glyphs("#", "|- ", "`- ", "|  ")


def show_tree(spans: Sequence[Span], *, indent: int = 0) -> None:
    """Print the spans, each below its parent, in the order of their start."""
    glyphs = _FINE if (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf") else _PLAIN
    begun = min(span.start_time_ns for span in spans)
    total = max(1, max(span.end_time_ns for span in spans) - begun)
    rows: list[tuple[object, ...]] = []
    for guide, span in lines(spans, glyphs):
        offset, length = span.start_time_ns - begun, span.end_time_ns - span.start_time_ns
        name = Text.assemble((guide, "dim"), safe(one_line(span.name)))
        bar = Text(_bar(offset, length, total, glyphs.bar), style="red" if span.status == "ERROR" else "cyan")
        rows.append((duration(offset), duration(length), bar, name, one_line(span.service_name), _status(span)))
    several = len({span.service_name for span in spans}) > 1
    shown = [number for number, column in enumerate(_COLUMNS) if several or column is not _SERVICE]
    show_table([_COLUMNS[number] for number in shown], [[row[number] for number in shown] for row in rows], indent=indent)


def lines(spans: Sequence[Span], glyphs: _Glyphs = _FINE) -> Iterator[tuple[str, Span]]:
    """Each span once, with what is drawn before its name.

    A span whose parent is not among them stands at the left margin, as do those of a circle, which only broken senders make.
    """
    known = {span.span_id for span in spans}
    children: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        children[span.parent_id if span.parent_id in known and span.parent_id is not None else ""].append(span)
    shown: set[str] = set()
    for top in [*children[""], *spans]:
        waiting = [("", "", top)]
        while waiting:
            before, guide, span = waiting.pop()
            if span.span_id in shown:
                continue
            shown.add(span.span_id)
            yield guide, span
            below = sorted(children[span.span_id], key=lambda child: (child.start_time_ns, child.span_id))
            for number, child in reversed(list(enumerate(below))):
                last = number == len(below) - 1
                waiting.append((before + ("   " if last else glyphs.beside), before + (glyphs.last if last else glyphs.child), child))


def _bar(offset: int, length: int, total: int, glyph: str) -> str:
    start = min(_BAR_CELLS - 1, offset * _BAR_CELLS // total)
    return " " * start + glyph * max(1, min(_BAR_CELLS - start, round(length * _BAR_CELLS / total)))


def _status(span: Span) -> Text:
    if span.status != "ERROR":
        return Text("")
    return safe("ERROR" + (f" {one_line(span.status_message)}" if span.status_message else ""), "bold red")
