"""The open segment: the file of the spool that one receive process is writing."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_VECTORS: Final = 512
"""Records in one system call, which takes up to 1024 buffers (IOV_MAX)."""

# Not on every platform.
sync_data = getattr(os, "fdatasync", os.fsync)


@dataclass(slots=True)
class OpenSegment:
    """A segment that is being written.

    Attributes:
        size: bytes that are known to be on the disk.
        begun: time of its first request, monotonic.
    """

    path: Path
    descriptor: int
    begun: float
    size: int = 0
    spans: int = 0

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make the file; its name is durable once the directory is synced."""
        return cls(path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600), time.monotonic())

    def write(self, buffers: Sequence[bytes]) -> None:
        """Append the buffers; return when the disk has them.

        Raises:
            OSError: the disk can't take them, or somebody removed the file. The file ends where it ended before.
        """
        try:
            for begin in range(0, len(buffers), 2 * _VECTORS):
                _write_all(self.descriptor, buffers[begin : begin + 2 * _VECTORS])
            sync_data(self.descriptor)
            if not os.fstat(self.descriptor).st_nlink:  # somebody removed it: its content is gone when it is closed
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))
        except OSError:
            os.ftruncate(self.descriptor, self.size)
            raise
        self.size += sum(map(len, buffers))

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)


def _write_all(descriptor: int, buffers: Sequence[bytes]) -> None:
    written = os.writev(descriptor, buffers)
    if written == sum(map(len, buffers)):
        return
    rest = memoryview(b"".join(buffers))[written:]
    while rest:
        rest = rest[os.write(descriptor, rest) :]
