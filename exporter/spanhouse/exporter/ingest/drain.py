"""The drain: inserts the spool's sealed segments into the store in order, and removes those that are stored."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from spanhouse.exporter.errors import InvalidRequestError
from spanhouse.exporter.metrics import BATCH_SPANS, LAG_SECONDS, SPOOL_AGE_SECONDS
from spanhouse.exporter.spool.dead_letters import DeadLetters
from spanhouse.exporter.spool.directory import SpoolDirectory
from spanhouse.exporter.spool.record import Record
from spanhouse.exporter.spool.segment import Bodies, Segment
from spanhouse.exporter.store.thread_priority import lower_priority
from spanhouse.exporter.store.writer import Batch, Writer
from spanhouse.schema.address.dsn import StoreError

_log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.05
"""Pause between two looks of an idle drain for a segment."""
_LAST_SECONDS: Final = 1.0
"""Time that an insert under way at the deadline gets on top."""
_BACK_OFF_SECONDS: Final = (0.5, 1.0, 2.0, 5.0)
"""Pauses after the first failure, the second and so on; the last one holds for all that follow."""


class Drain:
    """Thread that empties the spool into the store.

    Args:
        root: the spool.
        writer: stores batches.
        batch_bytes: size up to which segments share an insert.

    Attributes:
        trouble: error of the last try to store the oldest segments; '' after success.
    """

    def __init__(self, root: SpoolDirectory, writer: Writer, *, batch_bytes: int) -> None:
        self.trouble = ""
        self._batch_bytes = batch_bytes
        self._root = root
        self._dead_letters = DeadLetters(root.path)
        self._writer = writer
        self._stopping = threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run, name="spanhouse-drain", daemon=True)

    def start(self) -> None:
        """Begin with the oldest segment."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Store the sealed segments that are left, within the time and unless the store is in trouble; the rest waits for the next start."""
        self._deadline = time.monotonic() + seconds
        self._stopping.set()
        self._thread.join(seconds + _LAST_SECONDS)
        if self._thread.is_alive():
            _log.warning("an insert is still under way; its spans stay in the spool for the next start")

    def _run(self) -> None:
        lower_priority()
        failures = 0
        batch: Sequence[Path] = ()
        while True:
            stopping = self._stopping.is_set()
            if stopping and (self.trouble or time.monotonic() >= self._deadline):
                break
            try:
                self._root.keep()
                # A batch that failed is repeated exactly: the store may have it, and recognises it by its content.
                batch = batch or self._next_batch()
                trouble = self._store([Segment.open(path) for path in batch if path.exists()])
            except StoreError as error:
                trouble = str(error)
            except Exception as error:  # noqa: BLE001 on any error the segments stay and are tried again
                _log.exception("segments were not stored; they are tried again")
                trouble = f"{type(error).__name__}: {error}"
            self._report(trouble)
            if trouble:
                self._stopping.wait(_BACK_OFF_SECONDS[min(failures, len(_BACK_OFF_SECONDS) - 1)])
                failures += 1
            elif batch:
                failures, batch = 0, ()
            elif stopping:
                break
            else:
                SPOOL_AGE_SECONDS.set(0)
                self._stopping.wait(_LOOK_SECONDS)
        if waiting := len(self._root.sealed()):
            _log.warning("%d segments wait in the spool for the next start", waiting)

    def _next_batch(self) -> Sequence[Path]:
        """Return the oldest segments that fit into one insert: there are several small ones with several receive processes, and in quiet times."""
        batch: list[Path] = []
        size = 0
        for path in self._root.sealed():
            size += path.stat().st_size if path.exists() else 0
            if batch and (size > self._batch_bytes or self._root.doubtful(path) != self._root.doubtful(batch[0])):
                break
            batch.append(path)
        return batch

    def _report(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            _log.error("spans are not stored and wait in the spool: %s", trouble)
        elif self.trouble and not trouble:
            _log.warning("spans are stored again")
        self.trouble = trouble

    def _store(self, segments: Sequence[Segment]) -> str:
        """Store segments and remove them. Return why that failed, '' if it did not."""
        records = [(segment, record) for segment in segments for record in segment.records]
        if records:
            oldest_ns = min(record.received_ns for _, record in records)
            SPOOL_AGE_SECONDS.set(_seconds_since(oldest_ns))
            outcomes = self._writer.insert(self._batch(segments, records))
            if troubles := [outcome for outcome in outcomes if outcome is not None and not isinstance(outcome, InvalidRequestError)]:
                return str(troubles[0])
            for (segment, record), outcome in zip(records, outcomes, strict=True):
                if outcome is not None:
                    self._dead_letters.dead_letter(segment.body(record), record, outcome.message)
            LAG_SECONDS.observe(_seconds_since(oldest_ns))
            BATCH_SPANS.observe(sum(record.spans for _, record in records))
        for segment in segments:
            for damage in segment.damages:
                self._dead_letters.quarantine(segment, damage, left=segment.path in self._root.left)
        for segment in segments:
            segment.path.unlink(missing_ok=True)
            self._root.left.discard(segment.path)
        return ""

    def _batch(self, segments: Sequence[Segment], records: Sequence[tuple[Segment, Record]]) -> Batch:
        digests = [record.digest for _, record in records]
        whole = len(segments) == 1 and not segments[0].damages
        first = segments[0].path
        return Batch(bodies=Bodies(records), digests=digests, file=first if whole else None, doubtful=self._root.doubtful(first))


def _seconds_since(at_ns: int) -> float:
    """Return the seconds since a time; 0 if the clock was set back."""
    return max(0.0, (time.time_ns() - at_ns) / 1e9)
