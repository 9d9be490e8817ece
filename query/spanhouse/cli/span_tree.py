"""Spans of a trace as a tree: calls, their times, their durations."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from spanhouse.cli.output import Column, safe, show_table
from spanhouse.cli.text import duration, one_line
from spanhouse.query import Span
from spanhouse.query.search.span_tree import to_tree

_SERVICE: Final = Column(title="service", style="dim")
"""Column of the service, for traces that run through more than one."""
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
    """Yield each span once, in the tree's order, with the lines drawn before its name."""
    for top in to_tree(spans):
        waiting = [("", "", top)]
        while waiting:
            before, guide, node = waiting.pop()
            yield guide, node.span
            for number, child in enumerate(reversed(node.children)):
                last = number == 0
                waiting.append((before + ("   " if last else glyphs.beside), before + (glyphs.last if last else glyphs.child), child))


def _bar(offset: int, length: int, total: int, glyph: str) -> str:
    start = min(_BAR_CELLS - 1, offset * _BAR_CELLS // total)
    return " " * start + glyph * max(1, min(_BAR_CELLS - start, round(length * _BAR_CELLS / total)))


def _status(span: Span) -> Text:
    if span.status != "ERROR":
        return Text("")
    return safe("ERROR" + (f" {one_line(span.status_message)}" if span.status_message else ""), "bold red")
