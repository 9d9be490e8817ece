"""Records of a segment: a header, then a serialised OTLP request. The package's page describes the format.

The header is a protobuf field that OTLP does not have. So a run of records is itself a serialised OTLP request: protobuf merges messages that
follow one another and skips unknown fields (protobuf encoding, "Last One Wins" and "Unknown Fields").
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from spanhouse.exporter.otlp.digest import digest
from spanhouse.exporter.owned_directory import Buffer

_HEADER: Final = struct.Struct("<2s4sIIQ16sI")
"""Tag and length of field 15; magic with the format's version; bytes and spans of the body; time of receipt (Unix time, ns); digest of the
body; CRC-32 of all before, seeded with the header's offset in its segment, so that a copy of a record inside a request is no record."""
_TAG: Final = bytes((15 << 3 | 2, _HEADER.size - 2))
_MAGIC: Final = b"spn1"
_START: Final = _TAG + _MAGIC

HEADER_BYTES: Final = _HEADER.size
_WINDOW_BYTES: Final = 2**20
"""Window of the search for the next header after damage."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record: its place in its segment and its header's fields.

    Attributes:
        begin, end: offsets of the header's first byte and behind the body's last.
        spans: number of spans in the body.
        received_ns: time of receipt, Unix time in nanoseconds.
        digest: identity of the request, see ``digest``.
    """

    begin: int
    end: int
    spans: int
    received_ns: int
    digest: bytes

    @property
    def body(self) -> slice:
        """Place of the request in the segment."""
        return slice(self.begin + HEADER_BYTES, self.end)


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a segment that are no record.

    Attributes:
        begin, end: their offsets.
        torn: True for the segment's end, as a write leaves it that was cut off before it was acknowledged.
    """

    begin: int
    end: int
    torn: bool


def header(body: Buffer, spans: int, received_ns: int, begin: int) -> bytes:
    """Return the header of a body; ``begin`` is the header's offset in its segment."""
    packed = _HEADER.pack(_TAG, _MAGIC, len(body), spans, received_ns, digest(body), 0)[:-4]
    return packed + struct.pack("<I", zlib.crc32(packed, begin))


def read(file: BinaryIO) -> tuple[list[Record], list[Damage]]:
    """Return the records of a segment whose digests are right, and the damage between and after them. Hold one record in memory at a time."""
    records: list[Record] = []
    damages: list[Damage] = []
    for found in _read(file, file.seek(0, os.SEEK_END)):
        if isinstance(found, Record):
            records.append(found)
        else:
            damages.append(found)
    return records, damages


def _read(file: BinaryIO, size: int) -> Iterator[Record | Damage]:
    at = 0
    while at < size:
        file.seek(at)
        record = _record(file.read(HEADER_BYTES), at)
        if record is not None and record.end <= size:
            whole = digest(file.read(record.end - record.body.start)) == record.digest
            yield record if whole else Damage(at, record.end, torn=False)
            at = record.end
            continue
        following = _next_header(file, at + 1)
        yield Damage(at, size if following is None else following, torn=following is None)
        at = size if following is None else following


def _record(packed: bytes, at: int) -> Record | None:
    """Return the record of a header at this offset; None if these bytes are none. The record may end beyond the file."""
    if len(packed) < HEADER_BYTES or not packed.startswith(_START):
        return None
    _, _, size, spans, received_ns, found_digest, checksum = _HEADER.unpack(packed)
    if zlib.crc32(packed[:-4], at) != checksum:
        return None
    return Record(at, at + HEADER_BYTES + size, spans, received_ns, found_digest)


def _next_header(file: BinaryIO, begin: int) -> int | None:
    while True:
        file.seek(begin)
        window = file.read(_WINDOW_BYTES)
        at = window.find(_START)
        while 0 <= at <= len(window) - HEADER_BYTES:
            if _record(window[at : at + HEADER_BYTES], begin + at) is not None:
                return begin + at
            at = window.find(_START, at + 1)
        if len(window) < _WINDOW_BYTES:
            return None
        begin += len(window) - HEADER_BYTES + 1
