"""The folder of segments that one receive process writes."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from spanhouse.exporter.owned_directory import own, owns
from spanhouse.exporter.spool.file_names import OPEN, SEALED


class ReceiverFolder:
    """A receive process's folder in the spool, owned by it from ``own`` to ``close``.

    Args:
        path: made by ``own`` if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._owner: TextIO | None = None

    @property
    def closed(self) -> bool:
        """Return True while this process does not own the folder."""
        return self._owner is None

    def own(self, *, wait_seconds: float = 0) -> None:
        """Own the folder, made if it is not there, and seal the segments that a killed process left in it.

        Args:
            wait_seconds: time that another process is given to end.

        Raises:
            OSError: the folder can't be made, or another process owns it. The folder owned before stays owned.
        """
        owner = own(self.path, wait_seconds=wait_seconds)
        try:
            self.seal_left()
        except OSError:
            owner.close()
            raise
        self.close()
        self._owner = owner

    def is_lost(self) -> bool:
        """Return True if somebody removed or replaced the folder."""
        return self._owner is None or not owns(self._owner, self.path)

    def sealed(self) -> list[Path]:
        """Return the segments that wait for the store."""
        return list(self.path.glob(f"*{SEALED}"))

    def last_number(self) -> int:
        """Return the greatest number of a sealed segment; 0 if there is none."""
        return max((int(path.stem) for path in self.sealed()), default=0)

    def seal_left(self, written: Path | None = None) -> None:
        """Seal every open segment but the one that is being written.

        Raises:
            OSError: the disk does not let it.
        """
        for left in self.path.glob(f"*{OPEN}"):
            if left != written:
                left.rename(left.with_suffix(SEALED))

    def close(self) -> None:
        """Give the folder free."""
        if self._owner is not None:
            self._owner.close()
            self._owner = None
