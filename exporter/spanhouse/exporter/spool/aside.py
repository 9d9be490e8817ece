"""Files of what can't go on by itself: dead letters and damaged records. Kept for people, with the reason beside each."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import Final

from spanhouse.exporter.directory import sync
from spanhouse.exporter.metrics import CORRUPT_RECORDS, DEAD_LETTERS
from spanhouse.exporter.spool.record import Buffer, Damage, Record
from spanhouse.exporter.spool.segment import Segment

_log = logging.getLogger(__name__)

DEAD_LETTERS_FOLDER: Final = "dead-letters"
QUARANTINE_FOLDER: Final = "quarantine"
LETTER: Final = ".otlp"
REASON: Final = ".json"


class Aside:
    """Writes dead letters and damaged records below the spool's directory; durable when a call returns.

    Args:
        directory: the spool's.
    """

    def __init__(self, directory: Path) -> None:
        self._letters = directory / DEAD_LETTERS_FOLDER
        self._quarantine = directory / QUARANTINE_FOLDER

    def dead_letter(self, body: Buffer, record: Record, reason: str) -> None:
        """Keep a request that the store can't read: ``dead-letters/DIGEST.otlp``, a serialised request, and the reason as JSON beside it.

        Raises:
            OSError: the disk can't take it.
        """
        name = record.digest.hex()
        _write(self._letters, name + LETTER, body)
        _write(self._letters, name + REASON, _reason(reason, spans=record.spans, received_ns=record.received_ns))
        DEAD_LETTERS.labels(reason="unreadable").inc()
        _log.error("a request of %d spans can't be stored and is kept as dead letter %s: %s", record.spans, name, reason)

    def quarantine(self, segment: Segment, damage: Damage) -> None:
        """Keep bytes of a segment that are no record: ``quarantine/SEGMENT-OFFSET.bin`` and the reason as JSON beside it.

        A torn end, which a killed process leaves, was never acknowledged; anything else is counted as corrupt.

        Raises:
            OSError: the disk can't take it.
        """
        name = f"{segment.path.stem}-{damage.begin}"
        size = damage.end - damage.begin
        if damage.torn:
            _log.warning("segment %s ends in %d bytes of a request that was not acknowledged; kept as %s", segment.path.name, size, name)
        else:
            CORRUPT_RECORDS.inc()
            _log.error("segment %s is damaged on disk: %d bytes from %d on are no request; kept as %s", segment.path.name, size, damage.begin, name)
        _write(self._quarantine, name + ".bin", memoryview(segment.data)[damage.begin : damage.end])
        _write(self._quarantine, name + REASON, _reason("torn end" if damage.torn else "checksum", segment=segment.path.name, offset=damage.begin))


def _reason(reason: str, **more: object) -> bytes:
    return json.dumps({"reason": reason, "at": _iso(time.time_ns()), **more}, indent=2).encode()


def _iso(at_ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ns / 1e9))


def _write(folder: Path, name: str, data: Buffer) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    draft = folder / f"{name}.draft"
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / name)
    sync(folder)
