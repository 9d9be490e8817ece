"""``spanhouse store retention``: days for which tables keep their rows."""

from __future__ import annotations

from argparse import Namespace
from functools import partial

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.store_access import given_cluster, run_maintenance
from spanhouse.schema.maintenance import actions, retention
from spanhouse.schema.tables.driver import MigrationError


def run(arguments: Namespace) -> int:
    """Set the days, by the server that has the store open or here."""
    try:
        days = retention.parse(arguments.days)
    except MigrationError as error:
        raise CommandError(str(error)) from None
    steps = partial(actions.keep, days=days, cluster=given_cluster(arguments.cluster))
    with run_maintenance(arguments.store, "retention", steps, {"days": days}) as events:
        for event in events:
            kept = f"{event['days']} days" if event["days"] else "everything"
            print(f"{event['keeps']} keeps {kept}")
    return Exit.DONE
