"""``spanhouse store verify``: tables compared with those that this version makes."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.store_access import given_cluster, given_store, tables, whole
from spanhouse.schema.address.dsn import Store
from spanhouse.schema.tables import migrations, verify
from spanhouse.schema.tables.driver import Execute, execute_of


def run(arguments: Namespace) -> int:
    """Print each difference from the same tables made in a database of their own, which is dropped again."""
    store = given_store(arguments.store)
    beside = replace(store, database=f"{store.database}_verify")
    with whole(store) as client:
        found = _differences(execute_of(client), beside, given_cluster(arguments.cluster))
    for line in found:
        print(line)
    if found:
        raise CommandError(f"{store} differs from its ledger, {migrations.load().newest}: {len(found)} differences", Exit.STORE)
    print(f"{store} is as its ledger says: {migrations.load().newest}")
    return Exit.DONE


def _differences(execute: Execute, beside: Store, cluster: str | None) -> list[str]:
    drop = f"DROP DATABASE IF EXISTS {beside.database}" + (f" ON CLUSTER '{cluster}'" if cluster else "")
    execute(drop)
    try:
        with tables(beside, create=True, cluster=cluster) as made_anew:
            if made_anew is None:
                raise CommandError(f"database {beside.database} can't be made", Exit.STORE)
            migrations.apply(made_anew, cluster=cluster)
            return list(verify.differences(execute, made_anew))
    finally:
        execute(drop)
