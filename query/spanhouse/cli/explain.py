"""``spanhouse explain``: the SQL of a filter and what is bound to it. Nothing is run, no store is needed."""

from __future__ import annotations

from argparse import Namespace

from spanhouse.cli.errors import Exit
from spanhouse.cli.output import to_json
from spanhouse.cli.text import escape_unsafe
from spanhouse.query import compile_filter


def run(arguments: Namespace) -> int:
    """Print the statement, then each parameter in a line of its own."""
    statement = compile_filter(arguments.filter)
    for line in statement.sql.splitlines():
        print(escape_unsafe(line))
    print()
    for name, value in statement.parameters.items():
        print(f"{name} = {to_json(value)}")
    return Exit.DONE
