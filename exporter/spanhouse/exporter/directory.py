"""Directories that belong to one process at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TextIO


def own(directory: Path, lock_file: str) -> TextIO:
    """Make the directory and own it for as long as the returned file stays open.

    Raises:
        BlockingIOError: another process owns it.
        OSError: it can't be made or written.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.fdopen(os.open(directory / lock_file, os.O_RDWR | os.O_CREAT, 0o600), "w", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


def sync(directory: Path) -> None:
    """Make the names in a directory durable: those of files made in it, renamed or removed."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
