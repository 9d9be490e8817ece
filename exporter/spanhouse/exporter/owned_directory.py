"""Directories that belong to one process at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path
from typing import Final, TextIO

Buffer = bytes | memoryview


LOCK_FILE: Final = "spanhouse.lock"
_LOOK_SECONDS: Final = 0.1


def own(directory: Path, *, wait_seconds: float = 0) -> TextIO:
    """Make the directory and own it for as long as the returned file stays open.

    Args:
        directory: it gets a file ``spanhouse.lock``.
        wait_seconds: how long another process is given to end.

    Raises:
        BlockingIOError: another process owns it.
        OSError: it can't be made or written.
    """
    make(directory)
    file = os.fdopen(os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600), "w", encoding="utf-8")
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(_LOOK_SECONDS)
                continue
            file.close()
            raise BlockingIOError(errno.EWOULDBLOCK, "another process owns it", str(directory)) from None
        except OSError:
            file.close()
            raise
        return file


def owns(lock: TextIO, directory: Path) -> bool:
    """Return True while a directory is the one that ``own`` gave this lock for: nobody has removed or replaced it."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), (directory / LOCK_FILE).stat())
    except OSError:
        return False


def make(directory: Path) -> None:
    """Make a directory and those above it, if they are not there; durable when the call returns.

    Raises:
        OSError: it can't be made.
    """
    if directory.is_dir():
        return
    make(directory.parent)
    directory.mkdir(exist_ok=True, mode=0o700)
    sync(directory.parent)


def replace(file: Path, data: Buffer) -> None:
    """Give a file new content: whoever reads it, after whatever crash, finds the old or the new one. Durable when the call returns.

    Raises:
        OSError: the disk can't take it.
    """
    draft = file.with_name(f"{file.name}.draft")
    with draft.open("wb") as writing:
        writing.write(data)
        writing.flush()
        os.fsync(writing.fileno())
    draft.replace(file)
    sync(file.parent)


def sync(directory: Path) -> None:
    """Make the names in a directory durable: those of files made in it, renamed or removed."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
