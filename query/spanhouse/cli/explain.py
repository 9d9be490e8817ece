"""``spanhouse explain``: the SQL of a filter and what is bound to it. Nothing is run, no store is needed, unless it is to say what it takes."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Final

from spanhouse.cli.errors import Exit
from spanhouse.cli.output import print_for_programs, to_json
from spanhouse.cli.text import escape_unsafe
from spanhouse.query import Statement, Step, compile_filter

_TITLES: Final = ("sql", "parameters")
_COSTS: Final = ("rows", "read_rows", "read_bytes", "seconds")


def run(arguments: Namespace) -> int:
    """Print the statement, then each parameter in a line of its own; with ``--analyze`` those of a search, and what each took."""
    order = [arguments.order_by] if arguments.order_by else None
    statement = compile_filter(arguments.filter)
    if not arguments.analyze:
        row = (statement.sql, dict(statement.parameters))
        if not print_for_programs(arguments.format, _TITLES, [row], dict(zip(_TITLES, row, strict=True))):
            _show(statement)
        return Exit.DONE
    from spanhouse.cli.stores import reader  # which loads a driver

    with reader(arguments.store) as client:
        steps = client.analyze(arguments.filter, arguments.limit, order)
    rows = [_cells(step) for step in steps]
    titles = (*_TITLES, *_COSTS)
    if not print_for_programs(arguments.format, titles, rows, [dict(zip(titles, row, strict=True)) for row in rows]):
        _show_steps(steps)
    return Exit.DONE


def _cells(step: Step) -> tuple[object, ...]:
    return (step.statement.sql, dict(step.statement.parameters), *(getattr(step.cost, name) for name in _COSTS))


def _show(statement: Statement) -> None:
    for line in statement.sql.splitlines():
        print(escape_unsafe(line))
    print()
    for name, value in statement.parameters.items():
        print(f"{name} = {to_json(value)}")


def _show_steps(steps: Sequence[Step]) -> None:
    for number, step in enumerate(steps, 1):
        _show(step.statement)
        rows, *read = (getattr(step.cost, name) for name in _COSTS)
        print(f"-- {number} of {len(steps)}: {rows:,} rows; {_said(*read)}\n")
    print(f"-- all: {_said(*(sum(getattr(step.cost, name) for step in steps) for name in _COSTS[1:]))}")


def _said(read_rows: float, read_bytes: float, seconds: float) -> str:
    return f"read {read_rows:,} rows, {read_bytes / 1e6:,.1f} MB, in {seconds * 1000:,.0f} ms"
