"""``spanhouse backfill``: makes again, from the stored spans, all that is derived from them."""

from __future__ import annotations

from argparse import Namespace

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.progress import show_step
from spanhouse.cli.stores import given_store, tables
from spanhouse.schema import migrations
from spanhouse.schema.backfill import backfill


def run(arguments: Namespace) -> int:
    """Go through the spans from the newest to the oldest; one that was interrupted goes on where it ended."""
    store = given_store(arguments.store)
    with tables(store, create=False) as execute:
        if execute is None or migrations.plan(execute):
            raise CommandError(f"{store}: migrations are missing; run `spanhouse migrate` first", Exit.STORE)
        count = backfill(execute, report=show_step, cluster=arguments.cluster or None)
    print(f"{store}: all that is derived from spans is up to date ({count} windows)")
    return Exit.DONE
