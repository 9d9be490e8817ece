"""Reading files that lie around: whatever is found in their place, the reader neither waits nor takes more than it asked for."""

from __future__ import annotations

import io
import os
import stat

_CHUNK = 1 << 20  # a limit is no size: that much memory would be set aside for the smallest file
_NO_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: str | bytes) -> io.FileIO:
    """Open a file for reading.

    Raises:
        OSError: it cannot be opened, or is something else than a file, such as a pipe, on which one could wait for ever.
        ValueError: no path.
    """
    file = io.FileIO(path, "rb", opener=lambda name, flags: os.open(name, flags | _NO_WAITING))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(f"{os.fsdecode(path)} is not a regular file")
    return file


def read_file(path: str | bytes, limit: int) -> bytes:
    """The first ``limit`` bytes of a file; raises as ``open_regular`` does."""
    chunks: list[bytes] = []
    with open_regular(path) as file:
        while limit > 0 and (chunk := file.read(min(limit, _CHUNK))):
            chunks.append(chunk)
            limit -= len(chunk)
    return b"".join(chunks)
