"""The probe of a disk that refused a write: it finds out when the disk takes one as large again."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

from spanhouse.exporter.owned_directory import sync
from spanhouse.exporter.spool.open_segment import sync_data

_PROBE_SECONDS: Final = 1.0
"""Pause between two probes."""
_PROBE_BYTES: Final = 2**20
"""Largest probe."""


class DiskProbe:
    """Probe that writes as much as the disk refused, once a second at most, until the disk takes it."""

    def __init__(self) -> None:
        self._refused_bytes = 0
        """Size of the write that the disk refused; 0 after one that it took."""
        self._probed_at = float("-inf")

    @property
    def pending(self) -> bool:
        """Return True from a refused write on until the disk takes one as large."""
        return self._refused_bytes > 0

    def refused(self, size: int) -> None:
        """Note that the disk refused a write of so many bytes."""
        self._refused_bytes = max(1, min(size, _PROBE_BYTES))

    def run(self, directory: Path) -> None:
        """Probe if it is due.

        Raises:
            OSError: the disk can't take it.
        """
        now = time.monotonic()
        if not self._refused_bytes or now - self._probed_at < _PROBE_SECONDS:
            return
        self._probed_at = now
        write_and_remove(directory, self._refused_bytes)
        self._refused_bytes = 0


def write_and_remove(directory: Path, size: int) -> None:
    """Write and sync so many bytes in a directory, and leave nothing there.

    Raises:
        OSError: the disk can't take them.
    """
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(bytes(size))
        file.flush()
        sync_data(file.fileno())
    sync(directory)
