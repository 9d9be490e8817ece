"""Directories owned by one process at a time, and durable files in them."""

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
    """Make the directory, and own it as long as the returned file stays open.

    Args:
        directory: it gets a file ``spanhouse.lock``.
        wait_seconds: time that another process gets to end.

    Raises:
        BlockingIOError: another process owns it.
        OSError: the directory can't be made or written.
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
    """Return True while nobody has removed or replaced the directory that ``own`` returned this lock for."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), (directory / LOCK_FILE).stat())
    except OSError:
        return False


def make(directory: Path) -> None:
    """Make a directory and its parents where they are missing; durable when the call returns.

    Raises:
        OSError: the directory can't be made.
    """
    if directory.is_dir():
        return
    make(directory.parent)
    directory.mkdir(exist_ok=True, mode=0o700)
    sync(directory.parent)


def replace(file: Path, data: Buffer) -> None:
    """Replace a file's content atomically: after any crash a reader finds the old or the new one. Durable when the call returns.

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
    """Make the names in a directory durable: files made, renamed or removed in it."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
