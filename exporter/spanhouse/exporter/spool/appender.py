"""The spool's writing end: appends requests to the open segment and seals it for the drain."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from spanhouse.exporter.errors import ExportError, UnavailableError
from spanhouse.exporter.metrics import SYNC_SECONDS
from spanhouse.exporter.otlp.check import CheckedRequest
from spanhouse.exporter.owned_directory import sync
from spanhouse.exporter.pace import Pace
from spanhouse.exporter.spool import record
from spanhouse.exporter.spool.capacity import RETRY_SECONDS, SpoolCapacity
from spanhouse.exporter.spool.disk_probe import DiskProbe
from spanhouse.exporter.spool.file_names import OPEN, SEALED
from spanhouse.exporter.spool.open_segment import OpenSegment
from spanhouse.exporter.spool.receiver_folder import ReceiverFolder

_log = logging.getLogger(__name__)

_ENDING_SECONDS: Final = 15.0
"""Time that a receive process gets to end after the process that started it: it finishes its calls first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolLimits:
    """Bounds of the spool and of its segments.

    Attributes:
        spool_bytes: bytes that the whole spool may hold, dead letters included; beyond them requests are refused.
        free_bytes: bytes that stay free on the disk. First-time requests are refused 1/8 earlier.
        segment_spans, segment_bytes: size at which a segment is sealed; a single larger request makes one of its own.
        linger_seconds: age of its first request at which a segment is sealed, if the drain has nothing else to do,
        pause_seconds: and least time between the seals of steady traffic: an insert costs tens of milliseconds before its first span. After a
            quiet time the first few need no pause.
    """

    spool_bytes: int
    free_bytes: int
    segment_spans: int
    segment_bytes: int
    linger_seconds: float
    pause_seconds: float = 1.5


class SpoolAppender:
    """Writer of one receive process's segments. Any thread may append and seal.

    Args:
        folder: the process's folder; this process owns it.
        capacity: room in the whole spool.
        limits: size and age at which a segment is sealed.

    Attributes:
        capacity: room in the whole spool; measured by every append and seal.
        unwritable: why the disk takes no request, as of the last seal; '' once it takes one as large as it refused.
    """

    def __init__(self, folder: ReceiverFolder, capacity: SpoolCapacity, limits: SpoolLimits) -> None:
        self.capacity = capacity
        self.unwritable = ""
        self._folder = folder
        self._limits = limits
        self._probe = DiskProbe()
        self._lock = threading.Lock()
        self._segment: OpenSegment | None = None
        self._number = 0
        self._pace = Pace(limits.pause_seconds)

    @classmethod
    def open(cls, root: Path, receiver: int, limits: SpoolLimits) -> Self:
        """Own a receive process's folder and return its appender.

        Args:
            root: the spool's directory.
            receiver: number of the receive process, the name of its folder.
            limits: bounds of the whole spool and of a segment.

        Raises:
            OSError: the folder can't be made, or another process owns it.
        """
        folder = ReceiverFolder(root / str(receiver))
        folder.own(wait_seconds=_ENDING_SECONDS)
        appender = cls(folder, SpoolCapacity(root, limits.spool_bytes, limits.free_bytes), limits)
        appender._number = folder.last_number()
        return appender

    def append(self, requests: Sequence[CheckedRequest]) -> Sequence[ExportError | None]:
        """Write the requests and wait until the disk has them.

        Returns:
            For each request None, or why it was not taken. All of them share one fate.
        """
        size = sum(len(request.body) for request in requests)
        try:
            with self._lock:
                self._keep()
                self.capacity.measure()
                if refusal := self.capacity.lacks(size):
                    return [UnavailableError(f"{refusal}; try again", RETRY_SECONDS)] * len(requests)
                self._append(requests)
        except OSError as error:
            self._probe.refused(size)
            _log.error("the spool can't be written: %s: %s", self._folder.path, error.strerror)
            return [UnavailableError(f"the spool can't be written: {error.strerror}; try again", RETRY_SECONDS)] * len(requests)
        return [None] * len(requests)

    def seal(self, *, now: bool = False) -> None:
        """Seal the open segment if it is due, or at once; the next call repeats a seal that the disk refuses.

        Also make a folder again that somebody removed, and probe a disk that refused a write: clients send nothing to a receiver that is
        not ready.
        """
        with self._lock:
            if not self._folder.closed:
                self._check()
            if self._segment is not None and (now or self._is_due(self._segment)):
                self._seal(self._segment)

    def close(self) -> None:
        """Seal the open segment and give the folder free."""
        self.seal(now=True)
        with self._lock:
            self._folder.close()

    def _check(self) -> None:
        """Find out whether the disk takes requests."""
        try:
            self._keep()
            self.capacity.measure()
            self._folder.seal_left(self._segment.path if self._segment is not None else None)
            self._probe.run(self._folder.path)
        except OSError as error:
            if not self.unwritable:
                _log.error("requests are refused: the spool can't be written: %s: %s", error.filename or self._folder.path, error.strerror)
            self.unwritable = f"can't be written: {error.strerror}"
        else:
            if self.unwritable and not self._probe.pending:
                _log.warning("requests are taken again: the spool can be written")
                self.unwritable = ""

    def _keep(self) -> None:
        """Go on in a new folder where somebody removed or replaced the old one."""
        if not self._folder.is_lost():
            return
        if self._segment is not None:
            self._seal(self._segment)
        self._folder.own()
        self._number = max(self._number, self._folder.last_number())
        _log.warning("the spool's folder %s was gone or replaced: it is made again", self._folder.path)

    def _is_due(self, segment: OpenSegment) -> bool:
        at = time.monotonic()
        waited = at - segment.begun >= self._limits.linger_seconds and not self._pace.wait(at)
        return waited and not self._folder.sealed()

    def _append(self, requests: Sequence[CheckedRequest]) -> None:
        segment = self._segment or self._open()
        received_ns = time.time_ns()
        buffers: list[bytes] = []
        end = segment.size
        for request in requests:
            buffers += (record.header(request.body, request.spans, received_ns, end), request.body)
            end += record.HEADER_BYTES + len(request.body)
        begun = time.perf_counter()
        try:
            segment.write(buffers)
        except OSError:
            # After a failed write or fsync the file's content on disk is unknown: this segment ends where it was last known to be whole.
            self._seal(segment)
            raise
        SYNC_SECONDS.observe(time.perf_counter() - begun)
        self.capacity.add(sum(map(len, buffers)))
        segment.spans += sum(request.spans for request in requests)
        if segment.spans >= self._limits.segment_spans or segment.size >= self._limits.segment_bytes:
            self._seal(segment)

    def _open(self) -> OpenSegment:
        self._number += 1
        segment = OpenSegment.create(self._folder.path / f"{self._number:012}{OPEN}")
        try:
            sync(self._folder.path)
        except OSError:
            # A power loss could take the file, and with it requests that would be acknowledged.
            self._seal(segment)
            raise
        self._segment = segment
        return segment

    def _seal(self, segment: OpenSegment) -> None:
        self._segment = None
        self._pace.step(time.monotonic())
        try:
            segment.close()
            if segment.size:
                segment.path.rename(segment.path.with_suffix(SEALED))
            else:
                segment.path.unlink(missing_ok=True)
        except FileNotFoundError:
            _log.error(
                "segment %s is gone before it was stored: its %d acknowledged spans are lost unless it comes back", segment.path, segment.spans
            )
        except OSError as error:
            _log.error("segment %s can't be sealed; it is tried again: %s", segment.path, error.strerror)
