"""The spool's writing end: requests are appended to the open segment; a sealed segment waits for the drain."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from spanhouse.exporter.errors import ExportError, UnavailableError
from spanhouse.exporter.metrics import SPOOL_BYTES, SYNC_SECONDS
from spanhouse.exporter.otlp.check import CheckedRequest
from spanhouse.exporter.owned_directory import own, owns, sync
from spanhouse.exporter.spool import record
from spanhouse.exporter.spool.file_names import OPEN, SEALED
from spanhouse.exporter.spool.open_segment import OpenSegment, probe

_log = logging.getLogger(__name__)

_ENDING_SECONDS: Final = 15.0
"""A receive process that outlives the one that started it finishes its calls, then ends."""

_MEASURE_SECONDS: Final = 0.25
_RETRY_SECONDS: Final = 2.0
"""SDKs try for 10 seconds, whatever they are told: this gives them five tries."""
_PROBE_SECONDS: Final = 1.0
"""Pause between two probes of a disk that refused a write."""
_PROBE_BYTES: Final = 2**20
_RESERVE: Final = 8
"""The last eighth of the room is for requests that were refused before. At the same time it takes what was let in before the spool was full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolLimits:
    """Bounds of the spool and of its segments.

    Attributes:
        spool_bytes: requests are refused when the whole spool holds this much, dead letters included.
        free_bytes: or when the disk has no more than this left. Those that come for the first time are refused an eighth before.
        segment_spans, segment_bytes: a segment is sealed when it holds this much; a single larger request makes one of its own.
        linger_seconds: or, if the drain has nothing else to do, when its first request has waited this long,
        pause_seconds: and the last segment was sealed this long ago: an insert costs tens of milliseconds before its first span.
    """

    spool_bytes: int
    free_bytes: int
    segment_spans: int
    segment_bytes: int
    linger_seconds: float
    pause_seconds: float = 1.5


class SpoolAppender:
    """The segments of one receive process. Appends and seals are for any thread.

    Args:
        root: the spool's directory.
        receiver: number of the receive process; its segments have a folder of this name.
        limits: bounds of the whole spool and of a segment.

    Attributes:
        full: why requests are refused though they come again, which lasts until there is room for one as large; '' if they are taken.
        unwritable: why the disk takes no request, as of the last seal, which lasts until it takes one as large; '' if it takes them.

    Raises:
        OSError: the folder can't be made, or another process owns it.
    """

    def __init__(self, root: Path, receiver: int, limits: SpoolLimits) -> None:
        self._root = root
        self._directory = root / str(receiver)
        self._limits = limits
        self._lock = threading.Lock()
        self._segment: OpenSegment | None = None
        self._number = 0
        self._owner = self._own(_ENDING_SECONDS)
        self.unwritable = ""
        self._failed_bytes = 0
        """Size of the write that the disk refused; 0 after one that it took."""
        self._probed_at = float("-inf")
        self._sealed_at = 0.0
        self.full = self._without_reserve = self._with_reserve = ""
        self._lacked = 0
        self._measured_at = 0.0
        self._measured = self._appended = 0

    def admit(self, size: int, is_retry: bool) -> None:
        """Say without a look at the disk whether there is room, as of the last look.

        Args:
            size: bytes of a request and of those that wait to be appended.
            is_retry: the request was refused before.

        Raises:
            UnavailableError: there was none.
        """
        refusal = self._without_reserve if is_retry else self._with_reserve
        if refusal := refusal or self._spool_refusal(self._measured + self._appended + size, 0 if is_retry else _RESERVE):
            if is_retry:
                self._lack(size)
            raise UnavailableError(f"{refusal}; try again", _RETRY_SECONDS)

    def append(self, requests: Sequence[CheckedRequest]) -> Sequence[ExportError | None]:
        """Write the requests and wait until the disk has them.

        Returns:
            For each request None, or why it was not taken. All of them share one fate.
        """
        size = sum(len(request.body) for request in requests)
        try:
            with self._lock:
                self._keep()
                self._look()
                if refusal := self._refusal(size):
                    self._lack(size)
                    return [UnavailableError(f"{refusal}; try again", _RETRY_SECONDS)] * len(requests)
                self._append(requests)
        except OSError as error:
            self._failed_bytes = max(1, min(size, _PROBE_BYTES))
            _log.error("the spool can't be written: %s: %s", self._directory, error.strerror)
            return [UnavailableError(f"the spool can't be written: {error.strerror}; try again", _RETRY_SECONDS)] * len(requests)
        return [None] * len(requests)

    def seal(self, *, now: bool = False) -> None:
        """Seal the open segment if it is time, or at once. What the disk does not let it do, the next call tries again.

        It also makes a folder again that somebody removed, and asks a disk that refused a write once a second if it takes one now: clients
        send nothing to a receiver that is not ready.
        """
        with self._lock:
            if not self._owner.closed:
                self._check()
            if self._segment is not None and (now or self._is_due(self._segment)):
                self._seal(self._segment)

    def close(self) -> None:
        """Seal what is open and give the folder free."""
        self.seal(now=True)
        with self._lock:
            self._owner.close()

    def _own(self, wait_seconds: float = 0) -> TextIO:
        """Own the folder, made if it is not there, and seal what a process that was killed left in it."""
        owner = own(self._directory, wait_seconds=wait_seconds)
        try:
            self._seal_left()
        except OSError:
            owner.close()
            raise
        self._number = max([self._number, *(int(path.stem) for path in self._sealed())])
        return owner

    def _check(self) -> None:
        """Find out whether the disk takes requests."""
        try:
            self._keep()
            self._look()
            self._seal_left()
            self._probe()
        except OSError as error:
            if not self.unwritable:
                _log.error("requests are refused: the spool can't be written: %s: %s", error.filename or self._directory, error.strerror)
            self.unwritable = f"can't be written: {error.strerror}"
        else:
            if self.unwritable and not self._failed_bytes:
                _log.warning("requests are taken again: the spool can be written")
                self.unwritable = ""

    def _keep(self) -> None:
        """Go on in a new folder where somebody removed or replaced the old one."""
        if owns(self._owner, self._directory):
            return
        if self._segment is not None:
            self._seal(self._segment)
        lost, self._owner = self._owner, self._own()
        lost.close()
        _log.warning("the spool's folder %s was gone or replaced: it is made again", self._directory)

    def _probe(self) -> None:
        """Write as much as the disk refused, if it did; it stays refused until the next probe is due."""
        now = time.monotonic()
        if not self._failed_bytes or now - self._probed_at < _PROBE_SECONDS:
            return
        self._probed_at = now
        probe(self._directory, self._failed_bytes)
        self._failed_bytes = 0

    def _is_due(self, segment: OpenSegment) -> bool:
        at = time.monotonic()
        waited = at - segment.begun >= self._limits.linger_seconds and at - self._sealed_at >= self._limits.pause_seconds
        return waited and not self._sealed()

    def _sealed(self) -> list[Path]:
        return list(self._directory.glob(f"*{SEALED}"))

    def _seal_left(self) -> None:
        """Seal what nobody writes any more."""
        for left in self._directory.glob(f"*{OPEN}"):
            if self._segment is None or left != self._segment.path:
                left.rename(left.with_suffix(SEALED))

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
            # What the disk has after a failed write or fsync is not known: this segment ends where it was last known to be whole.
            self._seal(segment)
            raise
        SYNC_SECONDS.observe(time.perf_counter() - begun)
        self._appended += sum(map(len, buffers))
        segment.spans += sum(request.spans for request in requests)
        if segment.spans >= self._limits.segment_spans or segment.size >= self._limits.segment_bytes:
            self._seal(segment)

    def _open(self) -> OpenSegment:
        self._number += 1
        segment = OpenSegment.create(self._directory / f"{self._number:012}{OPEN}")
        try:
            sync(self._directory)
        except OSError:
            # A power loss could take the file, and with it what would be acknowledged.
            self._seal(segment)
            raise
        self._segment = segment
        return segment

    def _seal(self, segment: OpenSegment) -> None:
        self._segment = None
        self._sealed_at = time.monotonic()
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

    def _look(self) -> None:
        """See whether there is room."""
        self._without_reserve = self._refusal(0)
        self.full = self._without_reserve or self._refusal(self._lacked)
        if not self.full:
            self._lacked = 0
        refusal = self._without_reserve or self._refusal(0, reserve=_RESERVE)
        if refusal != self._with_reserve:
            _log.warning("requests are refused: %s", refusal) if refusal else _log.warning("requests are taken again: the spool has room")
        self._with_reserve = refusal

    def _lack(self, size: int) -> None:
        """Remember that there was no room for so many bytes. What is larger than the reserve says nothing about that."""
        self._lacked = min(size, self._limits.spool_bytes // _RESERVE)

    def _refusal(self, size: int, reserve: int = 0) -> str:
        """Why so many bytes can't be taken, '' if they can; with a reserve one part in so many of the room is left."""
        if refusal := self._spool_refusal(self._bytes() + size, reserve):
            return refusal
        least = self._limits.free_bytes
        disk = os.statvfs(self._root)
        if disk.f_bavail * disk.f_frsize - size < least + (least // reserve if reserve else 0):
            return f"the spool's disk is full (it keeps {least} bytes free)"
        return ""

    def _spool_refusal(self, size: int, reserve: int) -> str:
        """Why the spool can't hold so many bytes."""
        most = self._limits.spool_bytes
        return f"the spool is full (it may hold {most} bytes)" if size > most - (most // reserve if reserve else 0) else ""

    def _bytes(self) -> int:
        """Bytes in the spool: what the files were at the last look, and what was appended since."""
        now = time.monotonic()
        if now - self._measured_at > _MEASURE_SECONDS:
            self._measured_at, self._appended = now, 0
            self._measured = sum(_size(Path(folder) / name) for folder, _, names in os.walk(self._root) for name in names)
            SPOOL_BYTES.set(self._measured)
        return self._measured + self._appended


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # the drain removes segments
        return 0
