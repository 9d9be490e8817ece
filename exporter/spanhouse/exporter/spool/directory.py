"""The spool's directory: one for a store, with a folder of segments for each receive process."""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Final, Self, TextIO

from spanhouse.exporter.owned_directory import own, owns, replace
from spanhouse.exporter.spool import file_names
from spanhouse.exporter.spool.file_names import OPEN, SEALED
from spanhouse.exporter.spool.seen_requests import forget
from spanhouse.schema.address.dsn import StoreError

_log = logging.getLogger(__name__)

_STORE_FILE: Final = "store"
_IDENTITY_FILE: Final = "identity"


class SpoolDirectory:
    """The spool's directory, owned until ``close`` by the process that empties it.

    Attributes:
        path: the directory.
        identity: random name of this spool, the same for every owner.
        left: segments that an earlier process left and that are still there; the store may have some of them already.
    """

    def __init__(self, path: Path, store: str) -> None:
        self.path = path
        self.identity = ""
        self.left: set[Path] = set()
        self._store = store
        self._owner: TextIO

    @classmethod
    def open(cls, path: Path, store: str) -> Self:
        """Own a directory.

        Args:
            path: made if it is not there.
            store: name of the store that its requests are for.

        Raises:
            StoreError: the directory can't be made, another process owns it, or it holds requests for another store.
        """
        directory = cls(path, store)
        directory._owner = directory._own()
        return directory

    def keep(self) -> None:
        """Own the directory again where somebody removed or replaced it. The store may have some of the segments in it.

        Raises:
            StoreError: as ``open``.
        """
        if owns(self._owner, self.path):
            return
        lost, self._owner = self._owner, self._own()
        lost.close()
        _log.warning("spool %s was gone or replaced: it is made again", self.path)

    def sealed(self) -> list[Path]:
        """Return the segments that wait for the store, of all receive processes: oldest first, replayed dead letters last."""
        return file_names.sealed(self.path)

    def doubtful(self, segment: Path) -> bool:
        """Return True if the store may have some of a segment: an earlier process left it, or it is a replayed dead letter."""
        return segment in self.left or segment.parent == self.path

    def close(self) -> None:
        """Give the directory free."""
        self._owner.close()

    def _own(self) -> TextIO:
        with ExitStack() as stack:
            try:
                owner = stack.enter_context(closing(own(self.path)))
                self._claim()
                self.identity = self._identify()
                self.left = set(self.sealed())
            except BlockingIOError:
                raise StoreError(f"spool {self.path} belongs to another process; stop it, or choose another --spool") from None
            except OSError as error:
                raise StoreError(f"spool {self.path}: {(error.strerror or str(error)).lower()}") from None
            stack.pop_all()
            return owner

    def _identify(self) -> str:
        """Return the directory's identity. One that was replaced while it was owned keeps the owner's identity, which the inserts carry."""
        file = self.path / _IDENTITY_FILE
        if self.identity or not file.exists():
            replace(file, (self.identity or os.urandom(8).hex()).encode())
        return file.read_text(encoding="utf-8")

    def _claim(self) -> None:
        """Claim the directory for this store; refuse one with requests that were acknowledged for another store."""
        for folder in {left.parent for left in self.path.glob(f"*/*{OPEN}")}:
            # A receive process that outlives its parent goes on writing its segment, and seals it itself.
            with suppress(BlockingIOError), closing(own(folder)):
                for left in folder.glob(f"*{OPEN}"):
                    left.rename(left.with_suffix(SEALED))
        name = self.path / _STORE_FILE
        before = name.read_text(encoding="utf-8") if name.exists() else None
        if before == self._store:
            return
        if before is not None:
            if self.sealed():
                raise StoreError(
                    f"spool {self.path} holds requests for store {before}: serve that store until they are stored, or choose another --spool"
                )
            forget(self.path)
        replace(name, self._store.encode())
