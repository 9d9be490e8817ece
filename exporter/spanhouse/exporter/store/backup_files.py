"""Backups on the disk: where those are written that are made while a store is served, and how one is finished."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Final

from spanhouse.exporter.owned_directory import make, replace, sync
from spanhouse.schema.maintenance.backup import FILE_NAME, Backup

_NOT_BY_NAME: Final = (errno.EXDEV, errno.EBUSY)
"""A directory can't be renamed to another disk, nor to where a disk is mounted."""


def backups_of(store: Path) -> Path:
    """The directory beside a store's that the engine may write backups into, and nowhere else."""
    return store.with_name(f"{store.name}-backups")


def finish(directory: Path, written: Backup) -> None:
    """Make what the engine wrote durable, then say that it is whole.

    Raises:
        OSError: the disk can't take it.
    """
    for path in directory.rglob("*"):
        sync(path)
    replace(directory / FILE_NAME, written.to_json().encode())


def move(written: Path, directory: Path) -> None:
    """Put a backup that is finished elsewhere, also on another disk; durable when the call returns.

    Args:
        written: where it is.
        directory: where it is wanted; empty, or not there.

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
    """Copy a backup; what was copied of one that fails is removed again."""
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
