"""``spanhouse store replay``: dead letters tried again, after an upgrade that can store them."""

from __future__ import annotations

from argparse import Namespace

from spanhouse.cli.errors import Exit
from spanhouse.cli.store_access import given_store
from spanhouse.exporter.serve.config import ServeConfig


def run(arguments: Namespace) -> int:
    """Move the spool's dead letters back into it."""
    from spanhouse.exporter.spool.replay import replay

    spool = ServeConfig(store=given_store(arguments.store), spool=arguments.spool).spool_directory
    if count := replay(spool):
        print(f"dead letters moved back into {spool}: {count}; its server stores them, now or when it starts, or puts them aside again")
    else:
        print(f"no dead letters in {spool}")
    return Exit.DONE
