"""``spanhouse sql``: a user's own statement, read-only."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Sequence
from typing import Any, Final

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.output import show_rows
from spanhouse.cli.store_access import engine_message, read_only

_READING: Final = re.compile(r"(SelectWithUnionQuery|SelectQuery|Explain|Describe|Exists|Show)")
"""Beginnings of the engine's own names of read-only statements."""
_OUTFILE: Final = re.compile(r" Literal ")
"""Literal directly below the statement: the file of INTO OUTFILE, which ``readonly`` does not stop."""
_FORMAT: Final = re.compile(r"\bFORMAT\s+\w+\s*;?\s*\Z", re.IGNORECASE)
_NO_ANSWER: Final = (None, 159, 209, 210, 241, 1000)
"""Error codes that are not the statement's fault: none at all, timeouts, network, memory."""


def run(arguments: Namespace) -> int:
    """Run the statement and print its rows."""
    if not arguments.statement.strip():
        raise CommandError("sql: the statement is empty")
    with read_only(arguments.store) as (client, store):
        try:
            if store.embedded:
                _refuse_what_writes(client, arguments.statement)
            found = client.query(arguments.statement)
        except DatabaseError as error:
            if _FORMAT.search(arguments.statement):
                raise CommandError("sql: leave out FORMAT: --format table, json or csv says how rows are printed") from error
            code = Exit.STORE if isinstance(error, OperationalError) or error.code in _NO_ANSWER else Exit.USER
            raise CommandError(f"sql: {engine_message(error)}", code) from error
    show_rows(arguments.format, found.column_names, found.result_rows)
    return Exit.DONE


def _refuse_what_writes(client: Client, statement: str) -> None:
    """Refuse a statement that writes, by the engine's own parse: the engine in this process would write files even where it may change no table."""
    one = str(_rows(client, "SELECT formatQuerySingleLine({statement:String})", {"statement": statement})[0][0])
    parsed = [str(row[0]) for row in _rows(client, f"EXPLAIN AST {one}")]
    if not _READING.match(parsed[0]) or any(_OUTFILE.match(line) for line in parsed[1:]):
        raise CommandError("sql: only statements that read are run: SELECT, SHOW, DESCRIBE, EXISTS, EXPLAIN, and none INTO OUTFILE")


def _rows(client: Client, sql: str, parameters: dict[str, Any] | None = None) -> Sequence[Sequence[Any]]:
    return client.query(sql, parameters=parameters).result_rows
