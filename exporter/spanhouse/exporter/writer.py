"""The last step of the write path: raw OTLP bytes into ``otlp_requests``, where the engine decodes them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import Final

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from spanhouse.exporter.request import canonical
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


class Writer:
    """Inserts batches of requests; not for more than one thread at a time.

    Every insert is atomic and carries the hash of its bytes as token, so that the engine drops its exact repetition.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._settings = otlp_insert_settings()

    def insert(self, bodies: Sequence[bytes]) -> Sequence[ExportError | None]:
        """Store the requests in one insert. If the engine refuses it, and not for want of something, the halves are tried by themselves.

        Returns:
            For each request None, or why it was not stored.
        """
        try:
            self._insert(b"".join(bodies))
        except DatabaseError as error:
            code = getattr(error, "code", None)
            if code in _STORE_ERRORS:
                _log.exception("the store refused an insert of %d requests", len(bodies))
                return [_refused(code)] * len(bodies)
            if len(bodies) == 1:
                return [self._insert_repaired(bodies[0])]
            middle = len(bodies) // 2
            return [*self.insert(bodies[:middle]), *self.insert(bodies[middle:])]
        except Exception:  # noqa: BLE001 no store, network or disk: whatever it is, the client still has the data
            _log.exception("an insert of %d requests failed", len(bodies))
            return [UnavailableError("the store can't be reached; try again", RETRY_SECONDS)] * len(bodies)
        return [None] * len(bodies)

    def _insert_repaired(self, body: bytes) -> ExportError | None:
        """Store a request that protobuf accepts and the engine refuses, such as one with two values in one oneof, in its canonical form."""
        try:
            self._insert(canonical(body).body)
        except (InvalidRequestError, DatabaseError) as error:
            code = getattr(error, "code", None)
            if code is not None and code not in _DATA_ERRORS:
                _log.exception("the store refused a request of %d bytes", len(body))
                return _refused(code)
            _log.warning("the engine can't read a request of %d bytes (code %s)", len(body), code)
            return InvalidRequestError("the engine can't read this request")
        return None

    def _insert(self, body: bytes) -> None:
        if body:
            token = hashlib.sha256(body).hexdigest()
            settings = {**self._settings, "insert_deduplication_token": token}
            self._client.raw_insert("otlp_requests", insert_block=body, fmt="ProtobufSingle", settings=settings)


def _refused(code: int | None) -> UnavailableError:
    return UnavailableError(f"the store refused the insert (code {code}); try again", RETRY_SECONDS)
