"""``spanhouse store settle``: rows of traces brought up to their spans."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from typing import Final

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.progress import show_window
from spanhouse.cli.store_access import given_cluster, given_store, run_maintenance, server_maintenance, whole
from spanhouse.schema.maintenance import actions
from spanhouse.schema.settle import settle
from spanhouse.schema.settle.turns import Turns
from spanhouse.schema.tables.driver import execute_of

_TURN_SECONDS: Final = 30


def run(arguments: Namespace) -> int:
    """Settle the inserts that wait; with ``--all`` make the rows of all traces anew."""
    store = given_store(arguments.store)
    if arguments.all:
        steps = partial(actions.remake, cluster=given_cluster(arguments.cluster))
        with run_maintenance(arguments.store, "settle", steps) as events:
            for event in events:
                show_window(event)
        print(f"{store}: the rows of all traces are made anew ({event['remade']} windows)")
        return Exit.DONE
    with server_maintenance(arguments.store, "settle") as told:
        if told is not None:
            print(f"{store}: the server that has it open settles it by itself")
            return Exit.DONE
    with whole(store) as client:
        turns = Turns(execute_of(client))
        with turns.taken(_TURN_SECONDS) as mine:
            if not mine:
                raise CommandError(f"{store}: a server settles it by itself, and has done so for {_TURN_SECONDS} s")
            done = settle.settle_all(turns.execute)
    print(f"{store}: all that waited is settled ({done.arrivals} inserts; {done.remade} traces were made anew from their spans)")
    return Exit.DONE
