"""Files of what can't go on by itself: dead letters and damaged records. Kept for people, with the reason beside each."""

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
    """Writes dead letters and damaged records below the spool's directory; durable when a call returns.

    Args:
        directory: the spool's.
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
        """Keep bytes of a segment that are no record: ``quarantine/SEGMENT-OFFSET-HASH.bin`` and the reason as JSON beside it.

        Args:
            segment: where they are.
            damage: which they are.
            left: the process that wrote the segment ended without notice. Its last write may have been cut off, before anything of it was
                acknowledged: such an end is named and not counted. All else is counted as corrupt.

        Raises:
            OSError: the disk can't take it.
        """
        data = segment.read(damage.begin, damage.end)
        place = "-".join(segment.path.relative_to(self._directory).with_suffix("").parts)
        # Numbers of segments come again; the hash tells what is kept from what was kept before.
        name = f"{place}-{damage.begin}-{hashlib.sha256(data).hexdigest()[:8]}"
        torn = damage.torn and left
        if torn:
            _log.warning(
                "segment %s ends in %d bytes that are no whole request, as a write leaves that was cut off; kept as %s", place, len(data), name
            )
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
