"""``spanhouse migrate``: makes or updates a store's tables, and does all else that needs DDL rights."""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.progress import show_step
from spanhouse.cli.store_access import given_store, server_maintenance, tables
from spanhouse.schema.address.dsn import Store
from spanhouse.schema.maintenance import adopt, retention
from spanhouse.schema.tables import migrations, verify
from spanhouse.schema.tables.driver import Execute
from spanhouse.schema.tables.migrations import Migration

_CLUSTER: Final = re.compile(r"[A-Za-z_{][A-Za-z0-9_.{}-]*\Z")


def run(arguments: Namespace) -> int:
    """Apply what the store still needs, or say what that is; then do what else was asked for."""
    store = given_store(arguments.store)
    cluster = arguments.cluster or None
    days = retention.parse(arguments.ttl) if arguments.ttl else {}
    if cluster is not None and not _CLUSTER.match(cluster):
        raise CommandError(f"cluster {cluster!r}: not a name of a cluster")
    if arguments.verify:
        return _verify(store, cluster)
    if days and store.embedded and not arguments.plan:
        with server_maintenance(arguments.store, "retention", {"days": days}) as told:
            if told is not None:  # by a server, whose tables are up to date
                for event in told:
                    _show_kept(event["keeps"], event["days"])
                return Exit.DONE
    with tables(store, create=not arguments.plan, cluster=cluster) as execute:
        if arguments.plan or execute is None:
            pending = (migrations.load().baseline,) if execute is None else migrations.plan(execute)
            for migration in pending:
                print(f"would apply {migration}")
        else:
            pending = migrations.apply(execute, resume=arguments.resume, cluster=cluster, report=_say)
        if not pending:
            print(f"{store} is up to date: {migrations.load().newest}")
        elif not arguments.plan:
            print(f"{store} is now at {migrations.load().newest}")
        if execute is not None and not arguments.plan:
            _besides(execute, arguments, days, cluster)
    return Exit.DONE


def _say(what: Migration | str) -> None:
    if isinstance(what, Migration):
        print(f"applying {what}", flush=True)
    else:
        print(what, file=sys.stderr, flush=True)


def _show_kept(name: str, days: int) -> None:
    print(f"{name} keeps {f'{days} days' if days else 'everything'}")


def _besides(execute: Execute, arguments: Namespace, days: Mapping[str, int], cluster: str | None) -> None:
    for name, count in days.items():
        retention.keep(execute, name, count, cluster=cluster)
        _show_kept(name, count)
    if arguments.adopt:
        database = vars(arguments)["from"]
        source = f"{database}.{arguments.adopt}" if database else arguments.adopt
        found = adopt.adopt(execute, arguments.adopt, database=database or None, report=show_step, cluster=cluster)
        print(f"all {found.spans:,} spans of {source} are here ({found.rows:,} rows), {found.equal:,} of them with the same values")


def _verify(store: Store, cluster: str | None) -> int:
    """Compare with the same tables made in a database of their own, which is dropped again."""
    beside = replace(store, database=f"{store.database}_verify")
    with tables(store, create=False) as execute:
        if execute is None or migrations.plan(execute):
            raise CommandError(f"{store}: migrations are missing; run `spanhouse migrate` first", Exit.STORE)
        found = _differences(execute, beside, cluster)
    for line in found:
        print(line)
    if found:
        raise CommandError(f"{store} is not what its ledger says, {migrations.load().newest}: {len(found)} differences", Exit.STORE)
    print(f"{store} is what its ledger says: {migrations.load().newest}")
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
