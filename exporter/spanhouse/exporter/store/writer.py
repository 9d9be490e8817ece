"""The last step of the write path: raw OTLP bytes into ``otlp_requests``, where the engine decodes them."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from spanhouse.exporter.errors import ExportError, InvalidRequestError, UnavailableError
from spanhouse.exporter.metrics import FAILED_INSERTS, INSERT_SECONDS, RESENT_REQUESTS
from spanhouse.exporter.otlp.check import CheckedRequest, canonical
from spanhouse.exporter.otlp.digest import digest
from spanhouse.exporter.owned_directory import Buffer
from spanhouse.exporter.spool.seen_requests import SeenRequests
from spanhouse.exporter.store.recheck import missing, still_runs
from spanhouse.schema.tables.migrations import MAX_DAYS_OF_A_REQUEST, otlp_insert_settings

_log = logging.getLogger(__name__)

_DATA_ERRORS: Final = frozenset({6, 26, 27, 32, 33, 36, 38, 41, 69, 70, 72, 73, 117, 131, 190, 321, 407, 432, 436, 437, 444})
"""Engine error codes that blame the bytes."""
_STORE_ERRORS: Final = frozenset(
    {60, 74, 75, 76, 81, 159, 164, 173, 198, 202, 209, 210, 218, 225, 236, 241, 242, 243, 252, 279, 285, 286, 319, 373, 394, 425, 439, 497, 516, 999},
)
"""Engine error codes that blame the store: memory, disk, time, rights, network. No part of the batch would fare better."""

_TOO_MANY_PARTS: Final = 252

RETRY_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Requests that are stored together.

    Attributes:
        bodies: the requests, serialised.
        digests: the identity of each.
        file: a file that as a whole is the same as the bodies one after the other; None if there is none.
        doubtful: an earlier process may have stored some of it.
    """

    bodies: Sequence[Buffer]
    digests: Sequence[bytes]
    file: Path | None = None
    doubtful: bool = False

    @classmethod
    def of(cls, requests: Sequence[CheckedRequest]) -> Self:
        """Requests that wait in memory."""
        bodies = [request.body for request in requests]
        return cls(bodies=bodies, digests=[digest(body) for body in bodies])

    def only(self, indexes: Sequence[int]) -> Batch:
        """Some of the requests."""
        if len(indexes) == len(self.bodies):
            return self
        return Batch(bodies=[self.bodies[index] for index in indexes], digests=[self.digests[index] for index in indexes], doubtful=self.doubtful)

    def token(self) -> str:
        """A hash of the content, by which the engine knows the batch again."""
        return hashlib.sha256(b"".join(self.digests)).hexdigest()


class Writer:
    """Inserts batches of requests; not for more than one thread at a time.

    Every insert carries a hash of its content as token, so that the engine drops what it has of an exact repetition, even of an insert that
    still runs. An insert that failed may be stored, in part or as a whole; what is not repeated exactly is therefore looked for before.

    Args:
        client: a connection that may write.
        stored: the requests that were stored lately; they are not stored again.
        mark: by which inserts of an earlier process are known; it is their ``log_comment``.
        turn: held while it writes; None if nobody else minds.
        stored_some: called after each insert, from the thread that made it.
    """

    def __init__(
        self,
        client: Client,
        stored: SeenRequests,
        mark: str | None = None,
        turn: AbstractContextManager[object] | None = None,
        stored_some: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._stored_some = stored_some
        self._turn = turn or nullcontext()
        self._stored = stored
        self._mark = f"spanhouse {mark or os.urandom(8).hex()}"
        self._settings = {**otlp_insert_settings(), "log_comment": self._mark}
        self._failed = ""
        """Token of the batch that was tried last, if it is to be repeated as it was; else ''."""
        self._doubtful = SeenRequests(None)
        """What was in an insert that failed."""
        # The engine may remember an insert of an earlier process whose rows a power loss took.
        self._salt = os.urandom(16)

    def insert(self, batch: Batch) -> Sequence[ExportError | None]:
        """Store in one insert what is not stored already. If the engine blames the bytes, each request gets its own verdict.

        Returns:
            For each request None, or why it was not stored: UnavailableError if it may be tried again, InvalidRequestError if that is of no use.
        """
        outcomes: list[ExportError | None] = [None] * len(batch.bodies)
        fresh = [index for index, first in self._first_seen(batch.digests) if first]
        RESENT_REQUESTS.inc(len(batch.bodies) - len(fresh))
        if not fresh:
            return outcomes
        with self._turn:
            for index, outcome in zip(fresh, self._insert_fresh(batch.only(fresh)), strict=True):
                outcomes[index] = outcome
        self._stored_some()
        self._remember([batch.digests[index] for index in fresh if outcomes[index] is None])
        self._doubtful.add([batch.digests[index] for index in fresh if outcomes[index] is not None])
        return outcomes

    def _first_seen(self, digests: Sequence[bytes]) -> Iterator[tuple[int, bool]]:
        seen: set[bytes] = set()
        for index, one in enumerate(digests):
            yield index, one not in seen and one not in self._stored
            seen.add(one)

    def _remember(self, digests: Sequence[bytes]) -> None:
        try:
            self._stored.add(digests)
        except OSError as error:
            _log.warning("requests sent again may be stored again after a restart: %s", error)

    def _insert_fresh(self, batch: Batch) -> Sequence[ExportError | None]:
        if not any(batch.bodies):
            return [None] * len(batch.bodies)
        token = batch.token()
        repeated, self._failed = token == self._failed, ""
        try:
            if batch.doubtful or (not repeated and any(one in self._doubtful for one in batch.digests)):
                token = ""
                self._insert_missing(batch.bodies)
            elif batch.file is not None:
                with batch.file.open("rb") as content:
                    self._insert(content, token)
            else:
                self._insert(b"".join(batch.bodies), token)
        except DatabaseError as error:
            if _is_of_store(error):
                self._failed = token
                return [_unavailable(error)] * len(batch.bodies)
            _log.warning("the engine refused a batch of %d requests (code %s); they are tried apart", len(batch.bodies), _code(error))
            return self._insert_apart([_canonical(body) for body in batch.bodies])
        except Exception:  # noqa: BLE001 network, disk: whatever it is, the sender or the spool still has the data
            _log.exception("an insert failed")
            self._failed = token
            FAILED_INSERTS.labels(reason="failed").inc()
            return [UnavailableError("the insert failed, the log says why; try again", RETRY_SECONDS)] * len(batch.bodies)
        return [None] * len(batch.bodies)

    def _insert_missing(self, bodies: Sequence[Buffer]) -> None:
        """Insert what the store does not have."""
        if still_runs(self._client, self._mark):
            raise OperationalError("an insert that was given up still runs there")
        if body := b"".join(missing(self._client, bodies)):
            self._insert(body, hashlib.sha256(self._salt + body).hexdigest())

    def _insert_apart(self, bodies: Sequence[bytes]) -> Sequence[ExportError | None]:
        """Find the requests that the engine can't read, all others stored.

        They come as protobuf itself would write them: that alone mends a request with two values in one oneof, for example.
        """
        begun = time.monotonic()
        try:
            self._insert_missing(bodies)
        except DatabaseError as error:
            if _is_of_store(error):
                return [_unavailable(error)] * len(bodies)
            if len(bodies) == 1:
                return [self._verdict(bodies[0], error)]
            # A stranger who sends what the engine can't read gets half of the writer's time at the most.
            time.sleep(time.monotonic() - begun)
            middle = len(bodies) // 2
            return [*self._insert_apart(bodies[:middle]), *self._insert_apart(bodies[middle:])]
        return [None] * len(bodies)

    def _verdict(self, body: bytes, error: DatabaseError) -> ExportError | None:
        """Whether the request is to blame or the store, which then refuses an empty request too, or takes this one after it."""
        if _has_too_many_days(error):
            return InvalidRequestError(f"its spans start on more than {MAX_DAYS_OF_A_REQUEST} different days")
        if _code(error) not in _DATA_ERRORS:
            try:
                self._insert(b"", "")
            except DatabaseError:
                return _unavailable(error)
            try:
                self._insert_missing([body])
            except DatabaseError as again:
                if _is_of_store(again):
                    return _unavailable(again)
            else:
                return None
        return InvalidRequestError(f"the engine can't read this request (its error code is {_code(error)})")

    def _insert(self, content: bytes | BinaryIO, token: str) -> None:
        with INSERT_SECONDS.time():
            self._client.raw_insert(
                "otlp_requests", insert_block=content, fmt="ProtobufSingle", settings={**self._settings, "insert_deduplication_token": token}
            )


def _code(error: DatabaseError) -> int | None:
    code = getattr(error, "code", None)
    return code if isinstance(code, int) else None


def _is_of_store(error: DatabaseError) -> bool:
    """An error without code comes from the way to the store; it may have stored everything."""
    return (_code(error) is None or _code(error) in _STORE_ERRORS) and not _has_too_many_days(error)


def _has_too_many_days(error: DatabaseError) -> bool:
    """The code is that of a table with too many parts, which only time helps."""
    return _code(error) == _TOO_MANY_PARTS and "partitions for single INSERT" in str(error)


def _canonical(body: Buffer) -> bytes:
    return canonical(bytes(body))


def _unavailable(error: DatabaseError) -> UnavailableError:
    code = _code(error)
    if code is None:
        FAILED_INSERTS.labels(reason="unreachable").inc()
        return UnavailableError(f"the store can't be reached ({_first_line(error)}); try again", RETRY_SECONDS)
    FAILED_INSERTS.labels(reason=str(code)).inc()
    return UnavailableError(f"the store can't take spans now (its error code is {code}); try again", RETRY_SECONDS)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
