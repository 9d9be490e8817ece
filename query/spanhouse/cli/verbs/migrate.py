"""``spanhouse migrate``: tables of a store, made or updated."""

from __future__ import annotations

import sys
from argparse import Namespace

from spanhouse.cli.errors import Exit
from spanhouse.cli.store_access import given_cluster, given_store, tables
from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.migrations import Migration


def run(arguments: Namespace) -> int:
    """Apply the migrations that the store lacks; with ``--plan`` print them."""
    store, cluster = given_store(arguments.store), given_cluster(arguments.cluster)
    with tables(store, create=not arguments.plan, cluster=cluster) as execute:
        if arguments.plan or execute is None:
            pending = (migrations.load().baseline,) if execute is None else migrations.plan(execute)
            for migration in pending:
                print(f"would apply {migration}")
        else:
            pending = migrations.apply(execute, resume=arguments.resume, cluster=cluster, report=_report)
    if not pending:
        print(f"{store} is up to date: {migrations.load().newest}")
    elif not arguments.plan:
        print(f"{store} is now at {migrations.load().newest}")
    return Exit.DONE


def _report(event: Migration | str) -> None:
    if isinstance(event, Migration):
        print(f"applying {event}", flush=True)
    else:
        print(event, file=sys.stderr, flush=True)
