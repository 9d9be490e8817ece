"""Verbs that read traces: search, trace, diff, keys, values, sql, explain."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from spanhouse.cli.option import Option
from spanhouse.cli.verb_table.shared_options import FILTER, LIMIT, ORDER_BY, READ, SERVICE
from spanhouse.cli.verb_table.verb import Argument, Verb

SEARCH: Final = Verb(
    name="search",
    summary="find traces by a filter",
    module="search",
    arguments=(FILTER,),
    fixed_options=(
        SERVICE,
        ORDER_BY,
        LIMIT,
        Option(name="fail-if-empty", kind=bool, default=False, help="exit with 1 when no trace matches"),
        *READ,
    ),
    examples=(
        "spanhouse search \"metadata.mlflow.source.type = 'production' AND status = 'ERROR'\"",
        "spanhouse search --order-by 'execution_time DESC' --limit 5",
        "spanhouse search --service pay \"status = 'ERROR'\"",
    ),
)
TRACE: Final = Verb(
    name="trace",
    summary="show one trace: its spans as a tree, with times and metadata",
    module="trace",
    arguments=(Argument(name="trace-id", help="id of the trace: 32 hex digits, with or without tr- before them"),),
    fixed_options=READ,
    examples=("spanhouse trace tr-4bf92f3577b34da6a3ce929d0e0e4736",),
)
DIFF: Final = Verb(
    name="diff",
    summary="align two traces span by span and show where the time went",
    module="diff",
    arguments=(
        Argument(name="base", help="id of the trace to compare against"),
        Argument(name="new", help="id of the trace to compare"),
    ),
    fixed_options=READ,
    examples=("spanhouse diff 4bf92f3577b34da6a3ce929d0e0e4736 0af7651916cd43dd8448eb211c80319c",),
)
KEYS: Final = Verb(name="keys", summary="list the metadata keys that traces have", module="keys", fixed_options=READ, examples=("spanhouse keys",))
VALUES: Final = Verb(
    name="values",
    summary="list the values of one metadata key, and how many traces have each",
    module="values",
    arguments=(Argument(name="key", help="metadata key, as `spanhouse keys` prints it"),),
    fixed_options=READ,
    examples=("spanhouse values app_version",),
)
SQL: Final = Verb(
    name="sql",
    summary="run a read-only SQL statement",
    module="sql",
    arguments=(Argument(name="statement", help="one SELECT, SHOW, DESCRIBE, EXISTS or EXPLAIN"),),
    fixed_options=READ,
    examples=('spanhouse sql "SELECT ServiceName, count() FROM traces GROUP BY ServiceName"',),
)
EXPLAIN: Final = Verb(
    name="explain",
    summary="print the SQL of a search and its parameters without running it",
    module="explain",
    arguments=(FILTER,),
    fixed_options=(
        Option(
            name="analyze", kind=bool, default=False, help="run the search, and print the time of each statement and the rows and bytes that it read"
        ),
        ORDER_BY,
        replace(LIMIT, help="most traces that the search would find"),
        *READ,
    ),
    examples=("spanhouse explain \"metadata.app_version = '1.1.0'\"", "spanhouse explain \"status = 'ERROR'\" --analyze"),
)
