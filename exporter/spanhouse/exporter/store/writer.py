"""The writer, last step of the write path: inserts raw OTLP bytes into ``otlp_requests``, where the engine decodes them."""

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
from spanhouse.schema.tables.driver import first_line
from spanhouse.schema.tables.error_codes import ClickHouseErrorCode
from spanhouse.schema.tables.migrations import MAX_DAYS_OF_A_REQUEST, otlp_insert_settings

_log = logging.getLogger(__name__)

_DATA_ERRORS: Final = frozenset(
    {
        ClickHouseErrorCode.CANNOT_PARSE_TEXT,
        ClickHouseErrorCode.CANNOT_PARSE_QUOTED_STRING,
        ClickHouseErrorCode.CANNOT_PARSE_INPUT_ASSERTION_FAILED,
        ClickHouseErrorCode.ATTEMPT_TO_READ_AFTER_EOF,
        ClickHouseErrorCode.CANNOT_READ_ALL_DATA,
        ClickHouseErrorCode.CANNOT_PARSE_DATE,
        ClickHouseErrorCode.CANNOT_PARSE_DATETIME,
        ClickHouseErrorCode.ARGUMENT_OUT_OF_BOUND,
        ClickHouseErrorCode.CANNOT_CONVERT_TYPE,
        ClickHouseErrorCode.CANNOT_PARSE_NUMBER,
        ClickHouseErrorCode.INCORRECT_DATA,
        ClickHouseErrorCode.TOO_LARGE_STRING_SIZE,
        ClickHouseErrorCode.SIZES_OF_ARRAYS_DONT_MATCH,
        ClickHouseErrorCode.VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE,
        ClickHouseErrorCode.DECIMAL_OVERFLOW,
        ClickHouseErrorCode.PROTOBUF_BAD_CAST,
        ClickHouseErrorCode.PROTOBUF_FIELD_NOT_REPEATED,
        ClickHouseErrorCode.UNKNOWN_PROTOBUF_FORMAT,
    }
)
"""Engine errors that blame the bytes: the request is a dead letter. All codes that have another cause too are in neither set."""
_STORE_ERRORS: Final = frozenset(
    {
        # memory
        ClickHouseErrorCode.CANNOT_ALLOCATE_MEMORY,
        ClickHouseErrorCode.MEMORY_LIMIT_EXCEEDED,
        ClickHouseErrorCode.MEMORY_RESERVATION_KILLED,
        ClickHouseErrorCode.MEMORY_RESERVATION_FAILED,
        ClickHouseErrorCode.MEMORY_RESERVATION_ACQUISITION_TIMEOUT,
        # disk, object storage
        ClickHouseErrorCode.CANNOT_READ_FROM_FILE_DESCRIPTOR,
        ClickHouseErrorCode.CANNOT_WRITE_TO_FILE_DESCRIPTOR,
        ClickHouseErrorCode.CANNOT_OPEN_FILE,
        ClickHouseErrorCode.NOT_ENOUGH_SPACE,
        ClickHouseErrorCode.S3_ERROR,
        # time, load, quotas
        ClickHouseErrorCode.TIMEOUT_EXCEEDED,
        ClickHouseErrorCode.QUOTA_EXCEEDED,
        ClickHouseErrorCode.TOO_MANY_SIMULTANEOUS_QUERIES,
        ClickHouseErrorCode.TOO_MANY_PARTS,
        ClickHouseErrorCode.DISTRIBUTED_TOO_MANY_PENDING_BYTES,
        ClickHouseErrorCode.CANNOT_SCHEDULE_TASK,
        ClickHouseErrorCode.SESSION_IS_LOCKED,
        ClickHouseErrorCode.QUERY_WAS_CANCELLED,
        ClickHouseErrorCode.ABORTED,
        ClickHouseErrorCode.SYSTEM_ERROR,
        # tables and rights
        ClickHouseErrorCode.UNKNOWN_TABLE,
        ClickHouseErrorCode.UNKNOWN_DATABASE,
        ClickHouseErrorCode.TABLE_IS_DROPPED,
        ClickHouseErrorCode.TABLE_IS_READ_ONLY,
        ClickHouseErrorCode.TABLE_IS_PERMANENTLY_READ_ONLY,
        ClickHouseErrorCode.READONLY,
        ClickHouseErrorCode.ACCESS_DENIED,
        ClickHouseErrorCode.AUTHENTICATION_FAILED,
        # network
        ClickHouseErrorCode.CANNOT_READ_FROM_SOCKET,
        ClickHouseErrorCode.CANNOT_WRITE_TO_SOCKET,
        ClickHouseErrorCode.DNS_ERROR,
        ClickHouseErrorCode.SOCKET_TIMEOUT,
        ClickHouseErrorCode.NETWORK_ERROR,
        ClickHouseErrorCode.ALL_CONNECTION_TRIES_FAILED,
        # replication
        ClickHouseErrorCode.NO_ZOOKEEPER,
        ClickHouseErrorCode.UNEXPECTED_ZOOKEEPER_ERROR,
        ClickHouseErrorCode.KEEPER_EXCEPTION,
        ClickHouseErrorCode.NO_ACTIVE_REPLICAS,
        ClickHouseErrorCode.TOO_FEW_LIVE_REPLICAS,
        ClickHouseErrorCode.UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE,
        ClickHouseErrorCode.REPLICA_IS_NOT_IN_QUORUM,
        ClickHouseErrorCode.REPLICA_STATUS_CHANGED,
        ClickHouseErrorCode.UNKNOWN_STATUS_OF_INSERT,
    }
)
"""Engine errors that blame the store: the batch is retried. No part of it would fare better."""

RETRY_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Requests that are inserted together.

    Attributes:
        bodies: the requests, serialised.
        digests: identity of each request.
        file: file whose content is the bodies one after the other; None if there is none.
        doubtful: True if an earlier process may have stored some of the requests.
    """

    bodies: Sequence[Buffer]
    digests: Sequence[bytes]
    file: Path | None = None
    doubtful: bool = False

    @classmethod
    def of(cls, requests: Sequence[CheckedRequest]) -> Self:
        """Make a batch of requests that wait in memory."""
        bodies = [request.body for request in requests]
        return cls(bodies=bodies, digests=[digest(body) for body in bodies])

    def only(self, indexes: Sequence[int]) -> Batch:
        """Return the batch of some of the requests."""
        if len(indexes) == len(self.bodies):
            return self
        return Batch(bodies=[self.bodies[index] for index in indexes], digests=[self.digests[index] for index in indexes], doubtful=self.doubtful)

    def token(self) -> str:
        """Return a hash of the content, by which the engine recognises a repeated batch."""
        return hashlib.sha256(b"".join(self.digests)).hexdigest()


class Writer:
    """Inserter of batches, for one thread at a time.

    Every insert carries a hash of its content as deduplication token: of an exact repetition the engine drops the blocks that it has, even
    those of an insert that still runs. A failed insert may be stored, in part or as a whole. So before its requests are inserted in any other
    batch, their spans are looked for in the store.

    Args:
        client: connection that may write.
        stored: requests that were stored lately; they are not stored again.
        mark: name of this spool in the ``log_comment`` of its inserts, by which those of an earlier process are found.
        turn: lock held during an insert; None for no lock.
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
        """Token of the last batch, if it failed and has to be repeated exactly; else ''."""
        self._doubtful = SeenRequests()
        """Requests of inserts that failed."""
        # The engine may remember an insert of an earlier process whose rows a power loss took.
        self._salt = os.urandom(16)

    def insert(self, batch: Batch) -> Sequence[ExportError | None]:
        """Store in one insert the requests that are not stored yet. If the engine blames the bytes, each request gets its own verdict.

        Returns:
            For each request None, or why it was not stored: UnavailableError if a retry may help, InvalidRequestError if none does.
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
        except Exception:  # noqa: BLE001 network, disk: on any error the sender or the spool still has the data
            _log.exception("an insert failed")
            self._failed = token
            FAILED_INSERTS.labels(reason="failed").inc()
            return [UnavailableError("the insert failed, the log says why; try again", RETRY_SECONDS)] * len(batch.bodies)
        return [None] * len(batch.bodies)

    def _insert_missing(self, bodies: Sequence[Buffer]) -> None:
        """Insert the spans that the store does not have."""
        if still_runs(self._client, self._mark):
            raise OperationalError("an insert that failed here still runs in the store")
        if body := b"".join(missing(self._client, bodies)):
            self._insert(body, hashlib.sha256(self._salt + body).hexdigest())

    def _insert_apart(self, bodies: Sequence[bytes]) -> Sequence[ExportError | None]:
        """Find the requests that the engine can't read by halving the batch; store all others.

        The bodies are serialised anew by protobuf, which mends some requests, such as one with two values in one oneof.
        """
        begun = time.monotonic()
        try:
            self._insert_missing(bodies)
        except DatabaseError as error:
            if _is_of_store(error):
                return [_unavailable(error)] * len(bodies)
            if len(bodies) == 1:
                return [self._verdict(bodies[0], error)]
            # Requests that the engine can't read, from whatever sender, take half of the writer's time at the most.
            time.sleep(time.monotonic() - begun)
            middle = len(bodies) // 2
            return [*self._insert_apart(bodies[:middle]), *self._insert_apart(bodies[middle:])]
        return [None] * len(bodies)

    def _verdict(self, body: bytes, error: DatabaseError) -> ExportError | None:
        """Decide between a poison request and a store in trouble, which refuses an empty request too, or takes this one after it."""
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
    """Return True if a retry may help. An error without code comes from the way to the store, which may have stored everything."""
    return (_code(error) is None or _code(error) in _STORE_ERRORS) and not _has_too_many_days(error)


def _has_too_many_days(error: DatabaseError) -> bool:
    """Return True if one request spans too many days. Its code is that of a table with too many parts, where only time helps."""
    return _code(error) == ClickHouseErrorCode.TOO_MANY_PARTS and "partitions for single INSERT" in str(error)


def _canonical(body: Buffer) -> bytes:
    return canonical(bytes(body))


def _unavailable(error: DatabaseError) -> UnavailableError:
    code = _code(error)
    if code is None:
        FAILED_INSERTS.labels(reason="unreachable").inc()
        return UnavailableError(f"the store can't be reached ({first_line(error)}); try again", RETRY_SECONDS)
    FAILED_INSERTS.labels(reason=str(code)).inc()
    return UnavailableError(f"the store can't take spans now (its error code is {code}); try again", RETRY_SECONDS)
