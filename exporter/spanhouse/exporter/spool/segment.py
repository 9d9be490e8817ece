"""Sealed segments, as the drain reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, overload

from spanhouse.exporter.otlp.digest import digest
from spanhouse.exporter.spool.record import Damage, Record, read

_BUFFER_BYTES: Final = 2**18


@dataclass(frozen=True, slots=True)
class Segment:
    """A sealed segment's records and damage. The bytes stay in the file: memory is short while the engine works on them.

    Attributes:
        path: the file.
        records: records whose checksums are right, in their order.
        damages: all other bytes of the file.
    """

    path: Path
    records: tuple[Record, ...]
    damages: tuple[Damage, ...]

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read a file and check every record.

        Raises:
            OSError: the file can't be read. A memory map would end the process where the disk fails.
        """
        with path.open("rb", buffering=_BUFFER_BYTES) as file:
            records, damages = read(file)
        return cls(path, tuple(records), tuple(damages))

    def body(self, record: Record) -> bytes:
        """Return a record's request, serialised.

        Raises:
            OSError: the file can't be read, or changed since the segment was opened.
        """
        body = self.read(record.body.start, record.body.stop)
        if digest(body) != record.digest:
            raise OSError(f"{self.path} changed while it was read")
        return body

    def read(self, begin: int, end: int) -> bytes:
        """Return bytes of the file.

        Raises:
            OSError: the file can't be read.
        """
        with self.path.open("rb") as file:
            file.seek(begin)
            return file.read(end - begin)


class Bodies(Sequence[bytes]):
    """Sequence of the requests of segments, each read when it is asked for.

    Args:
        records: their places.
    """

    def __init__(self, records: Sequence[tuple[Segment, Record]]) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> Bodies: ...

    def __getitem__(self, index: int | slice) -> bytes | Bodies:
        if isinstance(index, slice):
            return Bodies(self._records[index])
        segment, record = self._records[index]
        return segment.body(record)
