"""``spanhouse store restore``: embedded store made from a backup."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.store_access import given_store, opened
from spanhouse.schema.maintenance import backup
from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.driver import execute_of


def run(arguments: Namespace) -> int:
    """Restore the tables and count what came back."""
    store, directory = given_store(arguments.store), Path(arguments.directory).absolute()
    if not store.embedded:
        raise CommandError(f"store restore: {store} is a server; restore into a directory, and `spanhouse store push` it there")
    found = backup.Backup.read(directory)
    with opened(store, create=True, backups=directory) as client:
        if client is None:
            raise CommandError(f"{store} can't be made", Exit.STORE)
        execute = execute_of(client)
        backup.restore(execute, store.database, found)
        pending = migrations.plan(execute)
    print(f"{found.spans:,} spans are in {store} again, with the counts and hashes that were written")
    if pending:
        print("the backup is of an earlier version: `spanhouse serve` brings its tables up to date when it starts", file=sys.stderr)
    return Exit.DONE
