"""A sealed segment, as the drain reads it."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from spanhouse.exporter.spool.record import Damage, Record, read


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment whose bytes are mapped, not read: a backlog takes no memory of its own.

    Attributes:
        records: those whose checksums are right, in their order.
        damages: what else is in the file.
    """

    path: Path
    data: mmap.mmap | bytes
    records: tuple[Record, ...]
    damages: tuple[Damage, ...]

    @classmethod
    def open(cls, path: Path) -> Self:
        """Map a file and check every record."""
        with path.open("rb") as file:
            data: mmap.mmap | bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""
        records, damages = read(data)
        return cls(path, data, tuple(records), tuple(damages))

    def body(self, record: Record) -> memoryview:
        """A record's request, serialised."""
        return memoryview(self.data)[record.body]
