"""``spanhouse explain``: the statements of a search and their parameters. Nothing is run without ``--analyze``, and no store is needed."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Final

from spanhouse.cli.errors import Exit
from spanhouse.cli.output import print_for_programs, to_json
from spanhouse.cli.text import escape_unsafe
from spanhouse.query import Statement, Step, explain

_TITLES: Final = ("sql", "parameters")
_PLANNED: Final = (*_TITLES, "why")
_COSTS: Final = ("rows", "read_rows", "read_bytes", "seconds")


def run(arguments: Namespace) -> int:
    """Print each statement, why it runs, and its parameters, each in a line of its own; with ``--analyze`` run them, and print the cost of each."""
    order = [arguments.order_by] if arguments.order_by else None
    if not arguments.analyze:
        planned = explain(arguments.filter, arguments.limit, order)
        rows = [(one.statement.sql, dict(one.statement.parameters), one.why) for one in planned]
        if not print_for_programs(arguments.format, _PLANNED, rows, [dict(zip(_PLANNED, row, strict=True)) for row in rows]):
            for number, one in enumerate(planned, 1):
                print(f"-- {number} of {len(planned)}: {one.why}")
                _show(one.statement)
                print()
        return Exit.DONE
    from spanhouse.cli.store_access import reader  # which loads a driver

    explain(arguments.filter, arguments.limit, order)  # a mistake is told before anything is connected to
    with reader(arguments.store) as client:
        steps = client.analyze(arguments.filter, arguments.limit, order)
    cells = [_cells(step) for step in steps]
    titles = (*_TITLES, *_COSTS)
    if not print_for_programs(arguments.format, titles, cells, [dict(zip(titles, row, strict=True)) for row in cells]):
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
