"""A sealed segment, as the drain reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from spanhouse.exporter.spool.record import Damage, Record, read


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment's bytes and what they are.

    Attributes:
        records: those whose checksums are right, in their order.
        damages: what else is in the file.
    """

    path: Path
    data: bytes
    records: tuple[Record, ...]
    damages: tuple[Damage, ...]

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read a file and check every record.

        Raises:
            OSError: it can't be read. A map of it would end the process where the disk fails.
        """
        data = path.read_bytes()
        records, damages = read(data)
        return cls(path, data, tuple(records), tuple(damages))

    def body(self, record: Record) -> memoryview:
        """A record's request, serialised."""
        return memoryview(self.data)[record.body]
