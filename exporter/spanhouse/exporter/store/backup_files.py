"""Backups on disk: their directory beside a served store, how one is finished and moved."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Final

from spanhouse.exporter.owned_directory import make, replace, sync
from spanhouse.schema.maintenance.backup import FILE_NAME, Backup

_NOT_BY_NAME: Final = (errno.EXDEV, errno.EBUSY)
"""Errors of a rename to another disk, or onto a mount point."""


def backups_of(store: Path) -> Path:
    """Return the directory beside a store's: the only one into which the engine may write backups."""
    return store.with_name(f"{store.name}-backups")


def finish(directory: Path, written: Backup) -> None:
    """Sync the files that the engine wrote, then write the file that marks the backup as whole.

    Raises:
        OSError: the disk can't take it.
    """
    for path in directory.rglob("*"):
        sync(path)
    replace(directory / FILE_NAME, written.to_json().encode())


def move(written: Path, directory: Path) -> None:
    """Move a finished backup, to another disk too; durable when the call returns.

    Args:
        written: directory that holds the backup.
        directory: directory that gets it; empty, or not there.

    Raises:
        OSError: the disk can't take it; the backup is still where it was.
    """
    make(directory.parent)
    try:
        written.rename(directory)
    except OSError as error:
        if error.errno not in _NOT_BY_NAME:
            raise
        _copy(written, directory)
        shutil.rmtree(written)
    sync(directory.parent)


def _copy(written: Path, directory: Path) -> None:
    """Copy a backup; remove the files copied so far if that fails."""
    make(directory)
    try:
        for path in sorted(written.rglob("*")):
            target = directory / path.relative_to(written)
            if path.is_dir():
                target.mkdir()
            elif path.name != FILE_NAME:
                shutil.copyfile(path, target)
        finish(directory, Backup.read(written))
    except OSError:
        for path in directory.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise
