"""``spanhouse store adopt``: copy of a table that the Collector's ClickHouse exporter made."""

from __future__ import annotations

from argparse import Namespace

from spanhouse.cli.errors import Exit
from spanhouse.cli.progress import show_step
from spanhouse.cli.store_access import given_cluster, given_store, whole
from spanhouse.schema.maintenance import adopt
from spanhouse.schema.tables.driver import execute_of


def run(arguments: Namespace) -> int:
    """Copy the spans, and say how many of them the store has with the same values."""
    database = vars(arguments)["from"]
    source = f"{database}.{arguments.table}" if database else arguments.table
    with whole(given_store(arguments.store)) as client:
        found = adopt.adopt(
            execute_of(client), arguments.table, database=database or None, report=show_step, cluster=given_cluster(arguments.cluster)
        )
    print(f"all {found.spans:,} spans of {source} are here ({found.rows:,} rows), {found.equal:,} of them with the same values")
    return Exit.DONE
