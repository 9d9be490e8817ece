"""The form of a record: a header, then a serialised OTLP request.

The header is a protobuf field that OTLP does not have, so a run of records is itself a serialised OTLP request: what follows
one another is merged, and unknown fields are skipped (protobuf encoding, "Last One Wins" and "Unknown Fields").
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
"""Tag and length of field 15; magic with the format's version; bytes and spans of the body; when it was received (Unix time, ns);
its digest; CRC-32 of all before, begun with the header's place in its segment: a copy of a record within a request is none."""
_TAG: Final = bytes((15 << 3 | 2, _HEADER.size - 2))
_MAGIC: Final = b"spn1"
_START: Final = _TAG + _MAGIC

HEADER_BYTES: Final = _HEADER.size
_WINDOW_BYTES: Final = 2**20
"""In which the next header is looked for after damage."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record's place in its segment and what its header says.

    Attributes:
        begin, end: where its header begins and its body ends.
        spans: spans in the body.
        received_ns: when it was acknowledged, Unix time in nanoseconds.
        digest: identity of the request, see ``digest``.
    """

    begin: int
    end: int
    spans: int
    received_ns: int
    digest: bytes

    @property
    def body(self) -> slice:
        """Where the request stands."""
        return slice(self.begin + HEADER_BYTES, self.end)


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a segment that are no record.

    Attributes:
        torn: they are the segment's end, as a write leaves that was cut off before it was acknowledged.
    """

    begin: int
    end: int
    torn: bool


def header(body: Buffer, spans: int, received_ns: int, begin: int) -> bytes:
    """The header that goes before a body, itself at ``begin`` in its segment."""
    packed = _HEADER.pack(_TAG, _MAGIC, len(body), spans, received_ns, digest(body), 0)[:-4]
    return packed + struct.pack("<I", zlib.crc32(packed, begin))


def read(file: BinaryIO) -> tuple[list[Record], list[Damage]]:
    """The records of a segment whose digests are right, and what stands between and after them. One record is in memory at a time."""
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
    """The record whose header these bytes are; None if they are none. Its end may lie beyond the file's."""
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
