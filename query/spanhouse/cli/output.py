"""Results as a table for people, or as JSON or CSV for programs."""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from rich.cells import cell_len
from rich.console import Console, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from spanhouse.cli.text import escape_unsafe, escape_unsafe_json, one_line

_MARKDOWN: Final = re.compile(r"[|\\`*_<>\[\]]")
"""Characters that Markdown would read as markup."""
_UNLIMITED: Final = 100_000
"""Width at which no line is broken."""
_GAP: Final = 2
_NARROWEST: Final = 8
"""Least width that a column is cut to."""

_LONGEST: Final = 2000
"""Width to which a table cuts a column anywhere; JSON and CSV cut nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Column of a table for people.

    Attributes:
        title: its head.
        right: sets its values to the right, as numbers.
        whole: shows its values in full, however narrow the terminal.
        spare: rank in which a narrow terminal leaves columns out, the highest first; 0 for never.
        style: its look on a terminal with colours.
    """

    title: str
    right: bool = False
    whole: bool = False
    spare: int = 0
    style: str = ""


def show(what: RenderableType, *, indent: int = 0) -> None:
    """Print to standard output, in colours only where that is a terminal. Lines are not broken."""
    terminal = sys.stdout.isatty()
    console = Console(force_terminal=terminal, no_color=None if terminal else True, highlight=False, markup=False, emoji=False, width=_UNLIMITED)
    with console.capture() as captured:
        console.print(what)
    for line in captured.get().splitlines():
        print((" " * indent + line).rstrip())


def safe(value: object, style: str = "") -> Text:
    """Return a value of the data as text that can't steer the terminal."""
    return Text(escape_unsafe(str(value)), style=style)


def show_table(columns: Sequence[Column], rows: Sequence[Sequence[object]], *, indent: int = 0) -> None:
    """Print rows below their columns' titles. A cell is a rich ``Text``, or anything else by its ``str``.

    Where a terminal is too narrow, columns that need not be whole are cut, then spare ones are left out, which a last line says.
    """
    cells = [[cell if isinstance(cell, Text) else safe(cell) for cell in row] for row in rows]
    for row in cells:
        for column, cell in zip(columns, row, strict=True):
            if not column.whole:
                cell.truncate(_LONGEST, overflow="ellipsis")
    natural = [max([cell_len(column.title), *(row[number].cell_len for row in cells)]) for number, column in enumerate(columns)]
    shown = dict(enumerate(natural)) if not sys.stdout.isatty() else _fit(columns, natural, Console().width - indent)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for number, width in shown.items():
        column = columns[number]
        justify: JustifyMethod = "right" if column.right else "left"
        table.add_column(column.title, justify=justify, style=column.style, no_wrap=True, overflow="ellipsis", width=width)
    for row in cells:
        table.add_row(*(row[number] for number in shown))
    show(table, indent=indent)
    if left_out := [column.title for number, column in enumerate(columns) if number not in shown]:
        show(safe(f"no room for: {', '.join(left_out)}", "dim"), indent=indent)


def _fit(columns: Sequence[Column], natural: Sequence[int], room: int) -> dict[int, int]:
    """Return the columns that fit, by number, each with its width. If even the least is too wide, the terminal breaks the lines."""
    shown = list(range(len(columns)))
    while True:
        widths = {number: natural[number] for number in shown}
        over = sum(widths.values()) + _GAP * (len(widths) - 1) - room
        while over > 0 and (cuttable := [number for number in shown if not columns[number].whole and widths[number] > _NARROWEST]):
            widths[max(cuttable, key=widths.__getitem__)] -= 1
            over -= 1
        spare = max(shown, key=lambda number: columns[number].spare)
        if over <= 0 or not columns[spare].spare:
            return widths
        shown.remove(spare)


def show_rows(form: str, names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in the form that ``--format`` names; every row has a value for every name."""
    match form:
        case "json":
            print_json([dict(zip(names, row, strict=True)) for row in rows])
        case "csv":
            print_csv(names, rows)
        case "markdown":
            print_markdown(names, rows)
        case _:
            numbers = [bool(rows) and all(isinstance(row[at], int | float | None) for row in rows) for at in range(len(names))]
            columns = [Column(title=escape_unsafe(name), right=number) for name, number in zip(names, numbers, strict=True)]
            show_table(columns, [["" if cell is None else _cell(cell) for cell in row] for row in rows])


def print_json(rows: Iterable[Mapping[str, object]]) -> None:
    """Print one JSON array, an object a line."""
    print("[" + ",\n ".join(to_json(row) for row in rows) + "]")


def to_json(value: object) -> str:
    """Return the value as JSON in one line. NaN and infinities are null."""
    return escape_unsafe_json(json.dumps(_plain(value), ensure_ascii=False, allow_nan=False))


def print_csv(names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print CSV with a head line. Maps and lists are JSON; nothing is ''."""
    keep = (lambda text: text) if not sys.stdout.isatty() else escape_unsafe
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([keep(name) for name in names])
    for row in rows:
        writer.writerow(["" if cell is None else keep(_cell(cell)) for cell in row])


def print_markdown(names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table of GitHub's Markdown. Maps and lists are JSON; nothing is ''."""
    for row in (names, ["---"] * len(names), *rows):
        print("| " + " | ".join("" if cell is None else _MARKDOWN.sub(r"\\\g<0>", one_line(_cell(cell))) for cell in row) + " |")


def print_for_programs(form: str, names: Sequence[str], rows: Iterable[Sequence[object]], whole: object) -> bool:
    """Print an answer as JSON (``whole``), CSV or Markdown (its rows). Return False, and print nothing, if a table is wanted."""
    match form:
        case "json":
            print(to_json(whole))
        case "csv":
            print_csv(names, rows)
        case "markdown":
            print_markdown(names, rows)
    return form in {"json", "csv", "markdown"}


def _cell(value: object) -> str:
    return to_json(value) if isinstance(value, Mapping | list | tuple) else str(_plain(value))


def _plain(value: object) -> object:
    """Return the value as texts, numbers, lists and objects, all that JSON has."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple() | set():
            return [_plain(item) for item in value]
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case datetime():
            return value.isoformat(" ")
        case date():
            return value.isoformat()
    return str(value)
