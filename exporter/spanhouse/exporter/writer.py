"""The last step of the write path: raw OTLP bytes into ``otlp_requests``, where the engine decodes them."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from spanhouse.exporter.metrics import FAILED_INSERTS, INSERT_SECONDS, RESENT_REQUESTS
from spanhouse.exporter.request import CheckedRequest, canonical
from spanhouse.exporter.spool.record import Buffer, digest
from spanhouse.exporter.spool.stored import StoredRequests
from spanhouse.exporter.status import ExportError, InvalidRequestError, UnavailableError
from spanhouse.schema.migrations import otlp_insert_settings

_log = logging.getLogger(__name__)

_DATA_ERRORS: Final = frozenset({6, 26, 27, 32, 33, 36, 38, 41, 69, 70, 72, 73, 117, 131, 190, 321, 407, 432, 436, 437, 444})
"""Engine error codes that blame the bytes."""
_STORE_ERRORS: Final = frozenset(
    {60, 74, 75, 76, 81, 159, 164, 202, 209, 210, 236, 241, 242, 243, 252, 319, 394, 497, 516, 999},
)
"""Engine error codes that blame the store: memory, disk, time, rights, network. No part of the batch would fare better."""

RETRY_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Requests that are stored together.

    Attributes:
        bodies: the requests, serialised.
        digests: the identity of each.
        file: a file that as a whole is the same as the bodies one after the other; None if there is none.
        salt: makes the batch another one to the engine, which drops the exact repetition of a batch.
    """

    bodies: Sequence[Buffer]
    digests: Sequence[bytes]
    file: Path | None = None
    salt: bytes = b""

    @classmethod
    def of(cls, requests: Sequence[CheckedRequest]) -> Self:
        """Requests that wait in memory."""
        bodies = [request.body for request in requests]
        return cls(bodies=bodies, digests=[digest(body) for body in bodies])

    def only(self, indexes: Sequence[int]) -> Batch:
        """Some of the requests."""
        if len(indexes) == len(self.bodies):
            return self
        return Batch(bodies=[self.bodies[index] for index in indexes], digests=[self.digests[index] for index in indexes], salt=self.salt)

    def token(self) -> str:
        """A hash of the content, by which the engine knows the batch again."""
        return hashlib.sha256(b"".join((*self.digests, self.salt))).hexdigest()


class Writer:
    """Inserts batches of requests; not for more than one thread at a time.

    Every insert carries a hash of its content as token, so that the engine drops what it has of an exact repetition.

    Args:
        client: a connection that may write.
        stored: the requests that were stored lately; they are not stored again.
    """

    def __init__(self, client: Client, stored: StoredRequests) -> None:
        self._client = client
        self._stored = stored
        self._settings = otlp_insert_settings()

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
        for index, outcome in zip(fresh, self._insert_fresh(batch.only(fresh)), strict=True):
            outcomes[index] = outcome
        self._remember([batch.digests[index] for index in fresh if outcomes[index] is None])
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
        try:
            if batch.file is not None:
                with batch.file.open("rb") as content:
                    self._insert(content, batch.token())
            else:
                self._insert(b"".join(batch.bodies), batch.token())
        except DatabaseError as error:
            code = _code(error)
            if code in _STORE_ERRORS:
                return [_unavailable(code)] * len(batch.bodies)
            _log.warning("the engine refused a batch of %d requests (code %s); they are tried apart", len(batch.bodies), code)
            return self._insert_apart([_canonical(body) for body in batch.bodies])
        except Exception:  # noqa: BLE001 no store, network or disk: whatever it is, the sender or the spool still has the data
            _log.warning("the store can't be reached", exc_info=True)
            FAILED_INSERTS.labels(reason="unreachable").inc()
            return [UnavailableError("the store can't be reached; try again", RETRY_SECONDS)] * len(batch.bodies)
        return [None] * len(batch.bodies)

    def _insert_apart(self, bodies: Sequence[bytes]) -> Sequence[ExportError | None]:
        """Find the requests that the engine can't read, all others stored.

        They come as protobuf itself would write them: that alone mends a request with two values in one oneof, for example.
        """
        begun = time.monotonic()
        body = b"".join(bodies)
        try:
            self._insert(body, hashlib.sha256(body).hexdigest())
        except DatabaseError as error:
            code = _code(error)
            if code in _STORE_ERRORS:
                return [_unavailable(code)] * len(bodies)
            if len(bodies) == 1:
                return [self._verdict(code)]
            # A stranger who sends what the engine can't read gets half of the writer's time at the most.
            time.sleep(time.monotonic() - begun)
            middle = len(bodies) // 2
            return [*self._insert_apart(bodies[:middle]), *self._insert_apart(bodies[middle:])]
        return [None] * len(bodies)

    def _verdict(self, code: int | None) -> ExportError:
        """Whether the request is to blame or the store, which then refuses an empty request too."""
        if code not in _DATA_ERRORS:
            try:
                self._insert(b"", "")
            except DatabaseError:
                return _unavailable(code)
        return InvalidRequestError(f"the engine can't read this request (its error code is {code})")

    def _insert(self, content: bytes | BinaryIO, token: str) -> None:
        with INSERT_SECONDS.time():
            self._client.raw_insert(
                "otlp_requests", insert_block=content, fmt="ProtobufSingle", settings={**self._settings, "insert_deduplication_token": token}
            )


def _code(error: DatabaseError) -> int | None:
    code = getattr(error, "code", None)
    return code if isinstance(code, int) else None


def _canonical(body: Buffer) -> bytes:
    return canonical(bytes(body))


def _unavailable(code: int | None) -> UnavailableError:
    FAILED_INSERTS.labels(reason=str(code)).inc()
    return UnavailableError(f"the store can't take spans now (its error code is {code}); try again", RETRY_SECONDS)
