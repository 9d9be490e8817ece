"""Dead letters and quarantine: requests that the store can't read and bytes damaged on disk, kept with the reason beside each."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from pathlib import Path

from spanhouse.exporter.metrics import CORRUPT_RECORDS, DEAD_LETTERS
from spanhouse.exporter.owned_directory import Buffer, make, replace
from spanhouse.exporter.spool import file_names
from spanhouse.exporter.spool.record import Damage, Record
from spanhouse.exporter.spool.segment import Segment

_log = logging.getLogger(__name__)


class DeadLetters:
    """Writer of dead letters and damaged bytes below the spool's directory; durable when a call returns.

    Args:
        directory: the spool's directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._letters = directory / file_names.DEAD_LETTERS
        self._quarantine = directory / file_names.QUARANTINE

    def dead_letter(self, body: Buffer, record: Record, reason: str) -> None:
        """Keep a request that the store can't read: ``dead-letters/DIGEST.otlp``, a serialised request, and the reason as JSON beside it.

        Raises:
            OSError: the disk can't take it.
        """
        name = record.digest.hex()
        _write(self._letters, name + file_names.LETTER, body)
        _write(self._letters, name + file_names.REASON, _reason(reason, spans=record.spans, received_ns=record.received_ns))
        DEAD_LETTERS.labels(reason="unreadable").inc()
        _log.error("a request of %d spans can't be stored and is kept as dead letter %s: %s", record.spans, name, reason)

    def quarantine(self, segment: Segment, damage: Damage, *, left: bool) -> None:
        """Keep damaged bytes of a segment: ``quarantine/SEGMENT-OFFSET-HASH.bin`` and the reason as JSON beside it.

        Args:
            segment: segment that holds them.
            damage: their place.
            left: True if the process that wrote the segment was killed. Its last write may be torn and was not acknowledged: a torn end is
                named and not counted. All other damage is counted as corrupt.

        Raises:
            OSError: the disk can't take it.
        """
        data = segment.read(damage.begin, damage.end)
        place = "-".join(segment.path.relative_to(self._directory).with_suffix("").parts)
        # Segment numbers are reused; the hash keeps this file apart from an earlier one.
        name = f"{place}-{damage.begin}-{hashlib.sha256(data).hexdigest()[:8]}"
        torn = damage.torn and left
        if torn:
            _log.warning("segment %s ends in a torn write: %d bytes that are no whole request; kept as %s", place, len(data), name)
        else:
            CORRUPT_RECORDS.inc()
            _log.error("segment %s is damaged on disk: %d bytes from %d on are no request; kept as %s", place, len(data), damage.begin, name)
        _write(self._quarantine, name + file_names.DAMAGED, data)
        _write(self._quarantine, name + file_names.REASON, _reason("torn end" if torn else "checksum", segment=place, offset=damage.begin))


def _reason(reason: str, **more: object) -> bytes:
    return json.dumps({"reason": reason, "at": _iso(time.time_ns()), **more}, indent=2).encode()


def _iso(at_ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ns / 1e9))


def _write(folder: Path, name: str, data: Buffer) -> None:
    make(folder)
    replace(folder / name, data)
