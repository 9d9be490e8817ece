"""``spanhouse diff``: two traces aligned, and where the time went."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Final

from spanhouse.cli.errors import Exit
from spanhouse.cli.output import Column, print_for_programs, safe, show, show_table
from spanhouse.cli.store_access import reader
from spanhouse.cli.text import duration, one_line
from spanhouse.query import SpanPair, TraceDiff

_COLUMNS: Final = (
    Column(title="base", right=True, whole=True),
    Column(title="new", right=True, whole=True),
    Column(title="change", right=True, whole=True),
    Column(title="itself", right=True, whole=True),
    Column(title="span"),
    Column(title="service", style="dim", spare=1),
    Column(title="failed", spare=0),
)
_NAMED: Final = 3
"""Number of spans named in the sentence below the table."""


def run(arguments: Namespace) -> int:
    """Print both traces' spans side by side, and which took more time themselves."""
    with reader(arguments.store) as client:
        found = client.diff(arguments.base, arguments.new)
    rows = [_cells(pair) for pair in found.pairs]
    titles = [column.title for column in _COLUMNS]
    if not print_for_programs(arguments.format, titles, rows, found.to_dict()):
        show_table(_COLUMNS, rows)
        print()
        show(safe(_said(found)))
    return Exit.DONE


def _cells(pair: SpanPair) -> Sequence[str]:
    """Return a pair's cells: ``change`` is that of the whole span, ``itself`` that of the time in which none of its children ran."""
    sides = [None if error is None else ("ERROR" if error else "OK") for error in (pair.base_error, pair.new_error)]
    return (
        "-" if pair.base_ns is None else duration(pair.base_ns),
        "-" if pair.new_ns is None else duration(pair.new_ns),
        "gone" if pair.new_ns is None else "new" if pair.base_ns is None else _change(pair.new_ns - pair.base_ns),
        _change(pair.self_change_ns),
        "  " * pair.depth + one_line(pair.name),
        one_line(pair.service),
        " -> ".join(side or "-" for side in sides) if "ERROR" in sides else "",
    )


def _change(nanoseconds: int) -> str:
    return ("-" if nanoseconds < 0 else "+") + duration(abs(nanoseconds))


def _said(found: TraceDiff) -> str:
    if not (guilty := found.guilty()):
        return "no span took more time itself"
    named = ", ".join(f"{one_line(pair.name)} {_change(pair.self_change_ns)}{' (new)' if pair.base_ns is None else ''}" for pair in guilty[:_NAMED])
    return f"more time was spent in: {named}"
