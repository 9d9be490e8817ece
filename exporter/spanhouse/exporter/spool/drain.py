"""The spool's reading end: sealed segments go to the store in their order and are removed when it has them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from clickhouse_connect.driver.client import Client

from spanhouse.exporter.metrics import BATCH_SPANS, LAG_SECONDS, SPOOL_AGE_SECONDS
from spanhouse.exporter.spool.aside import Aside
from spanhouse.exporter.spool.recheck import missing
from spanhouse.exporter.spool.root import SpoolRoot
from spanhouse.exporter.spool.segment import Segment
from spanhouse.exporter.status import ExportError, InvalidRequestError
from spanhouse.exporter.writer import Batch, Writer

_log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.05
"""How often an idle drain looks for a segment."""
_LAST_SECONDS: Final = 1.0
"""What an insert that is under way at the deadline may take on top."""
_BACK_OFF_SECONDS: Final = (0.5, 1.0, 2.0, 5.0)
"""Pauses after the first failure, the second and so on, the last one for all that follow."""


class Drain:
    """A thread that empties the spool into the store.

    Args:
        root: the spool.
        writer: stores batches.
        client: the writer's connection, for questions about segments that an earlier process left.

    Attributes:
        trouble: why the oldest segment is not stored yet although it was tried; '' if nothing is wrong.
    """

    def __init__(self, root: SpoolRoot, writer: Writer, client: Client) -> None:
        self.trouble = ""
        self._root = root
        self._aside = Aside(root.path)
        self._writer = writer
        self._client = client
        # Segments of another process may be in the store already, and the engine may remember their inserts or not.
        self._salt = str(time.time_ns()).encode()
        self._stopping = threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run, name="spanhouse-drain", daemon=True)
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Store what is there, for so long at the most and not if the store is in trouble; the rest waits for the next start."""
        self._deadline = time.monotonic() + seconds
        self._stopping.set()
        self._thread.join(seconds + _LAST_SECONDS)
        if self._thread.is_alive():
            _log.warning("an insert is still under way; its spans stay in the spool for the next start")

    def _run(self) -> None:
        failures = 0
        while True:
            stopping = self._stopping.is_set()
            segments = self._root.sealed()
            if stopping and (not segments or self.trouble or time.monotonic() >= self._deadline):
                break
            if not segments:
                SPOOL_AGE_SECONDS.set(0)
                self._stopping.wait(_LOOK_SECONDS)
            elif self._try(segments[0]):
                failures = 0
            else:
                self._stopping.wait(_BACK_OFF_SECONDS[min(failures, len(_BACK_OFF_SECONDS) - 1)])
                failures += 1
        if segments:
            _log.warning("%d segments wait in the spool for the next start", len(segments))

    def _try(self, path: Path) -> bool:
        """Store a segment. False if it has to be tried again."""
        try:
            trouble = self._store(Segment.open(path))
        except Exception as error:  # noqa: BLE001 whatever it is, the segment stays and is tried again
            _log.exception("segment %s was not stored; it is tried again", path.name)
            trouble = f"{type(error).__name__}: {error}"
        if trouble and trouble != self.trouble:
            _log.error("the store does not take spans, which wait in the spool: %s", trouble)
        elif self.trouble and not trouble:
            _log.warning("the store takes spans again")
        self.trouble = trouble
        return not trouble

    def _store(self, segment: Segment) -> str:
        """Store a segment and remove it. Why that did not succeed, '' if it did."""
        if segment.records:
            oldest_ns = min(record.received_ns for record in segment.records)
            SPOOL_AGE_SECONDS.set(_seconds_since(oldest_ns))
            outcomes = self._writer.insert(self._batch(segment))
            if troubles := [outcome for outcome in outcomes if outcome is not None and not isinstance(outcome, InvalidRequestError)]:
                return str(troubles[0])
            self._keep_unreadable(segment, outcomes)
            LAG_SECONDS.observe(_seconds_since(oldest_ns))
            BATCH_SPANS.observe(sum(record.spans for record in segment.records))
        for damage in segment.damages:
            self._aside.quarantine(segment, damage)
        segment.path.unlink()
        return ""

    def _batch(self, segment: Segment) -> Batch:
        bodies = [segment.body(record) for record in segment.records]
        digests = [record.digest for record in segment.records]
        if segment.path in self._root.left:
            return Batch(bodies=missing(self._client, bodies), digests=digests, salt=self._salt)
        return Batch(bodies=bodies, digests=digests, file=None if segment.damages else segment.path)

    def _keep_unreadable(self, segment: Segment, outcomes: Sequence[ExportError | None]) -> None:
        for record, outcome in zip(segment.records, outcomes, strict=True):
            if outcome is not None:
                self._aside.dead_letter(segment.body(record), record, outcome.message)


def _seconds_since(at_ns: int) -> float:
    """0 if the clock was set back."""
    return max(0.0, (time.time_ns() - at_ns) / 1e9)
