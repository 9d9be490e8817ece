"""Bounded reads of untrusted files: a pipe in a file's place is refused, and a large file is read up to a limit."""

from __future__ import annotations

import io
import os
import stat

_CHUNK = 1 << 20  # reading with the limit as size would allocate that much memory for the smallest file
_NO_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: str | bytes) -> io.FileIO:
    """Open a file for reading.

    Raises:
        OSError: it cannot be opened, or is no regular file; a read from a pipe could block for ever.
        ValueError: the path is invalid.
    """
    file = io.FileIO(path, "rb", opener=lambda name, flags: os.open(name, flags | _NO_WAITING))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(f"{os.fsdecode(path)} is not a regular file")
    return file


def read_file(path: str | bytes, limit: int) -> bytes:
    """Return the first ``limit`` bytes of a file; raises as ``open_regular`` does."""
    chunks: list[bytes] = []
    with open_regular(path) as file:
        while limit > 0 and (chunk := file.read(min(limit, _CHUNK))):
            chunks.append(chunk)
            limit -= len(chunk)
    return b"".join(chunks)
