"""The spool's capacity: bytes that it holds, bytes that its disk has left, and the requests for which there is no room."""

from __future__ import annotations

import logging
import math
import os
import time
from pathlib import Path
from typing import Final

from spanhouse.exporter.metrics import SPOOL_BYTES

_log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 2.0
"""Pause that a client without room is told. SDKs try for 10 seconds, whatever they are told: this gives them five tries."""
_WALK_SECONDS: Final = 0.25
"""Pause between two walks through the files."""
_RESERVE: Final = 8
"""The last 1/8 of the spool is reserved for retries; it also absorbs requests admitted just before the spool filled."""


class SpoolCapacity:
    """Room in a spool and on its disk, as of the last measurement and of the appends since.

    One thread at a time measures and adds; any thread asks.

    Args:
        root: the spool's directory.
        spool_bytes: bytes that the whole spool may hold, dead letters included.
        free_bytes: bytes that stay free on the disk. First-time requests are refused when 9/8 of this are left.
    """

    def __init__(self, root: Path, spool_bytes: int, free_bytes: int) -> None:
        self._root = root
        self._spool_limit = spool_bytes
        self._disk_limit = free_bytes
        self._spool_bytes = 0
        self._disk_bytes = math.inf
        self._walked_at = -math.inf
        self._lacked_bytes = 0
        """Size of the last retry for which there was no room; 0 since there is."""
        self._logged = ""
        """Refusal that the log told of last."""

    @property
    def free(self) -> float:
        """Bytes that retries can still fill; negative beyond the limits."""
        return min(self._spool_limit - self._spool_bytes, self._disk_bytes - self._disk_limit)

    @property
    def full(self) -> str:
        """Why even retries are refused; '' while there is room. Cleared once a request as large as the refused one fits."""
        return self._refusal(self._lacked_bytes, self._lacked_bytes, 0)

    def refuses(self, size: int, *, reserve: bool = False) -> str:
        """Return why a request should not be admitted, '' if it may be.

        The disk counts as it was measured last: a request that it has no room for is refused by the append, which measures it again.

        Args:
            size: bytes of the request and of those that wait to be appended.
            reserve: keep the reserve free: the request is no retry.
        """
        refusal = self._refusal(size, 0, _RESERVE if reserve else 0)
        if refusal and not reserve:
            self._lack(size)
        return refusal

    def lacks(self, size: int) -> str:
        """Return why so many bytes can't be appended, '' if they can, by the measurement that was just made."""
        refusal = self._refusal(size, size, 0)
        if refusal:
            self._lack(size)
        return refusal

    def _lack(self, size: int) -> None:
        # A request larger than the reserve says nothing about the reserve.
        self._lacked_bytes = min(size, self._spool_limit // _RESERVE)

    def add(self, size: int) -> None:
        """Count bytes that were appended."""
        self._spool_bytes += size
        self._disk_bytes -= size

    def measure(self) -> None:
        """Look at the disk, and a few times a second at the files.

        Raises:
            OSError: the disk does not answer.
        """
        now = time.monotonic()
        if now - self._walked_at > _WALK_SECONDS:
            self._walked_at = now
            self._spool_bytes = _bytes_below(self._root)
            SPOOL_BYTES.set(self._spool_bytes)
        disk = os.statvfs(self._root)
        self._disk_bytes = disk.f_bavail * disk.f_frsize
        if not self.full:
            self._lacked_bytes = 0
        self._log_change()

    def _refusal(self, size: int, on_disk: int, reserve: int) -> str:
        """Return why the spool has no room for ``size`` bytes, or its disk for ``on_disk``, beside one part in ``reserve``; 0 keeps nothing."""
        spool, disk = self._spool_limit, self._disk_limit
        if self._spool_bytes + size > spool - (spool // reserve if reserve else 0):
            return f"the spool is full (it may hold {spool} bytes)"
        if self._disk_bytes - on_disk < disk + (disk // reserve if reserve else 0):
            return f"the spool's disk is full (it keeps {disk} bytes free)"
        return ""

    def _log_change(self) -> None:
        refusal = self._refusal(0, 0, _RESERVE)
        if refusal != self._logged:
            _log.warning("requests are refused: %s", refusal) if refusal else _log.warning("requests are taken again: the spool has room")
        self._logged = refusal


def _bytes_below(root: Path) -> int:
    return sum(_size(Path(folder) / name) for folder, _, names in os.walk(root) for name in names)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # the drain removes segments
        return 0
