"""The file of the spool that is being written."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from spanhouse.exporter.owned_directory import sync

_VECTORS: Final = 512
"""Records in one system call, which takes up to 1024 buffers (IOV_MAX)."""

# Not on every platform.
_sync_data = getattr(os, "fdatasync", os.fsync)


@dataclass(slots=True)
class OpenSegment:
    """The file that is written.

    Attributes:
        size: bytes that are known to be on the disk.
        begun: when its first request came, monotonic.
    """

    path: Path
    descriptor: int
    begun: float
    size: int = 0
    spans: int = 0

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make the file; its name is durable when the directory is synced."""
        return cls(path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600), time.monotonic())

    def write(self, buffers: Sequence[bytes]) -> None:
        """Append the buffers; returns when the disk has them.

        Raises:
            OSError: the disk can't take them, or somebody removed the file. It ends where it did.
        """
        try:
            for begin in range(0, len(buffers), 2 * _VECTORS):
                _write_all(self.descriptor, buffers[begin : begin + 2 * _VECTORS])
            _sync_data(self.descriptor)
            if not os.fstat(self.descriptor).st_nlink:  # somebody removed it: what is in it is gone when it is closed
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))
        except OSError:
            os.ftruncate(self.descriptor, self.size)
            raise
        self.size += sum(map(len, buffers))

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)


def probe(directory: Path, size: int) -> None:
    """Write and sync so many bytes in a directory, and leave nothing there.

    Raises:
        OSError: the disk can't take them.
    """
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(bytes(size))
        file.flush()
        _sync_data(file.fileno())
    sync(directory)


def _write_all(descriptor: int, buffers: Sequence[bytes]) -> None:
    written = os.writev(descriptor, buffers)
    if written == sum(map(len, buffers)):
        return
    rest = memoryview(b"".join(buffers))[written:]
    while rest:
        rest = rest[os.write(descriptor, rest) :]
