"""``spanhouse store check``: integrity of parts and rows."""

from __future__ import annotations

from argparse import Namespace

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.store_access import given_store, run_maintenance
from spanhouse.schema.maintenance import actions


def run(arguments: Namespace) -> int:
    """Print each problem of the store."""
    store = given_store(arguments.store)
    with run_maintenance(arguments.store, "check", actions.check) as events:
        for event in events:
            if "problem" in event:
                print(event["problem"], flush=True)
    if event["problems"]:
        raise CommandError(f"{store}: {event['problems']} problems", Exit.STORE)
    print(f"{store}: every part is whole, and each trace says what its spans do; `spanhouse store verify` compares the tables' definitions")
    return Exit.DONE
