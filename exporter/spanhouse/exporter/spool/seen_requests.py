"""Digests of the requests that were stored lately; the writer leaves out a request that is among them."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final, Self

_DIGEST_BYTES: Final = 16
_WINDOW: Final = 100_000
_CURRENT: Final = "stored-requests"
_PREVIOUS: Final = "stored-requests.previous"


class SeenRequests:
    """Digests of the last ``window`` to ``2 * window`` requests stored. For one thread.

    By default they are in memory alone; ``load`` keeps them in two files, 16 bytes for each request. When the newer file is full, it replaces
    the older one.
    """

    def __init__(self) -> None:
        self._directory: Path | None = None
        self._window = _WINDOW
        self._current: set[bytes] = set()
        self._previous: set[bytes] = set()

    @classmethod
    def load(cls, directory: Path, window: int = _WINDOW) -> Self:
        """Read the digests that the files of a directory hold, and keep them there.

        Args:
            directory: directory of the files.
            window: number of requests in a file.
        """
        seen = cls()
        seen._directory, seen._window = directory, window
        seen._current, seen._previous = _load(directory / _CURRENT), _load(directory / _PREVIOUS)
        return seen

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._current or digest in self._previous

    def add(self, digests: Collection[bytes]) -> None:
        """Remember requests; return when the disk has them.

        Raises:
            OSError: the disk can't take them. They are remembered in memory alone.
        """
        if len(self._current) >= self._window:
            self._current, self._previous = set(), self._current
            if self._directory is not None and (self._directory / _CURRENT).exists():
                (self._directory / _CURRENT).replace(self._directory / _PREVIOUS)
        self._current.update(digests)
        if self._directory is not None:
            with (self._directory / _CURRENT).open("ab") as file:
                file.write(b"".join(digests))
                file.flush()
                os.fsync(file.fileno())


def forget(directory: Path) -> None:
    """Forget all requests: they were stored in another store."""
    for name in (_CURRENT, _PREVIOUS):
        (directory / name).unlink(missing_ok=True)


def _load(path: Path) -> set[bytes]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return set()
    if torn := len(data) % _DIGEST_BYTES:
        # The next append has to begin at a digest's boundary.
        data = data[:-torn]
        os.truncate(path, len(data))
    return {data[at : at + _DIGEST_BYTES] for at in range(0, len(data), _DIGEST_BYTES)}
