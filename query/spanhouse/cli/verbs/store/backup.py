"""``spanhouse store backup``: copy of an embedded store in a directory."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.store_access import given_store, server_maintenance, whole
from spanhouse.exporter.owned_directory import make
from spanhouse.exporter.spool import file_names
from spanhouse.exporter.store.backup_files import finish, move
from spanhouse.schema.address.dsn import default_spool
from spanhouse.schema.maintenance import backup
from spanhouse.schema.maintenance.actions import Event
from spanhouse.schema.tables.driver import execute_of


def run(arguments: Namespace) -> int:
    """Write the backup, or let the server write it that has the store open."""
    store, directory = given_store(arguments.store), Path(arguments.directory).absolute()
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise CommandError(f"store backup: {directory} is not empty; name a new directory")
    with server_maintenance(arguments.store, "backup") as told:
        if told is not None:
            (done,) = told
            return _take_over(done, directory)
    if not store.embedded:
        raise CommandError(f"store backup: {store} is a server; use its own BACKUP")
    waiting = sum(path.stat().st_size for path in file_names.sealed(default_spool(store)))
    with whole(store, backups=directory) as client:
        make(directory)
        written = backup.backup(execute_of(client), store.database)
    finish(directory, written)
    if waiting:
        print(f"{waiting} bytes wait in the spool beside the store, and are not in the backup: `spanhouse serve` stores them", file=sys.stderr)
    _show_backup(directory, written.spans)
    return Exit.DONE


def _take_over(done: Event, directory: Path) -> int:
    """Put the backup that the server has written beside its store where it is wanted."""
    written = Path(done["directory"])
    if not written.is_dir():
        print(f"the backup is on the server's machine, in {written}, {done['spans']:,} spans", file=sys.stderr)
        return Exit.DONE
    try:
        move(written, directory)
    except OSError as error:
        raise CommandError(f"store backup: it is in {written}, and can't be put into {directory}: {(error.strerror or str(error)).lower()}") from None
    _show_backup(directory, done["spans"])
    return Exit.DONE


def _show_backup(directory: Path, spans: int) -> None:
    print(f"{spans:,} spans are in {directory}; `spanhouse store restore {directory} --store chdb:///new/directory` reads it")
