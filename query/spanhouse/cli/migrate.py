"""``spanhouse migrate``: makes or updates a store's tables. The only verb that needs the right to."""

from __future__ import annotations

from argparse import Namespace

from spanhouse.cli.errors import Exit
from spanhouse.cli.stores import given_store, tables
from spanhouse.schema import migrations


def run(arguments: Namespace) -> int:
    """Apply what the store still needs, or say what that is."""
    store = given_store(arguments.store)
    with tables(store, create=not arguments.plan) as execute:
        if arguments.plan or execute is None:
            pending = migrations.load() if execute is None else migrations.plan(execute)
            for migration in pending:
                print(f"would apply {migration}")
        else:
            pending = migrations.apply(execute, resume=arguments.resume, report=lambda migration: print(f"applying {migration}", flush=True))
    if not pending:
        print(f"{store} is up to date: {migrations.load()[-1]}")
    elif not arguments.plan:
        print(f"{store} is now at {migrations.load()[-1]}")
    return Exit.DONE
