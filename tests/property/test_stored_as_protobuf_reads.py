"""Whatever bytes a request is made of: what is stored of it is what protobuf reads in them, and its neighbours are stored as they are.

protobuf reads no request with a text that is not UTF-8; of such a one it is the request with that text repaired.
"""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

from clickhouse_connect.driver.client import Client
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.support import expected
from tests.support.mutation import mutate_bytes, mutate_fields, whole_request
from tests.support.store import TestStore

from spanhouse.exporter.errors import InvalidRequestError
from spanhouse.exporter.otlp.check import CheckedRequest, canonical, check
from spanhouse.exporter.spool.seen_requests import SeenRequests
from spanhouse.exporter.store.writer import Batch, Writer


def mutants(chance: random.Random, number: int) -> list[tuple[bytes, CheckedRequest]]:
    """Damaged requests that are accepted, as protobuf can read them, with what is stored of each."""
    made: list[tuple[bytes, CheckedRequest]] = []
    while len(made) < number:
        body = whole_request(nested=chance.random() < 0.2)
        for _ in range(chance.randint(1, 3)):
            body = mutate_bytes(chance, body) if chance.random() < 0.15 else mutate_fields(chance, body)
        with suppress(InvalidRequestError):
            checked = check(body)
            made.append((body if is_read(body) else checked.body, checked))
    return made


def is_read(body: bytes) -> bool:
    try:
        ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        return False
    return True


def has_unknown_fields(checked: CheckedRequest) -> bool:
    return canonical(checked.body) != checked.body


class Counting:
    """A client that counts its inserts."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.inserts = 0

    def raw_insert(self, *arguments: Any, **named: Any) -> None:
        self.inserts += 1
        self._client.raw_insert(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def stored(store: TestStore, requests: list[CheckedRequest]) -> tuple[list[tuple[Any, ...]], int]:
    """The rows that requests give in one batch, all of which must be stored, and the inserts that took."""
    store.client.command("TRUNCATE TABLE otel_traces")
    client = Counting(store.client)
    outcomes = Writer(client, SeenRequests()).insert(Batch.of(requests))  # type: ignore[arg-type]
    assert set(outcomes) == {None}
    return sorted(tuple(row) for row in store.execute(f"SELECT {expected.COLUMNS} FROM otel_traces")), client.inserts


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32))
def test_a_damaged_request_that_is_accepted_is_stored_as_protobuf_reads_it_in_one_insert(module_store: TestStore, seed: int) -> None:
    accepted = [(body, checked) for body, checked in mutants(random.Random(seed), 60) if not has_unknown_fields(checked)]
    # A neighbour that is new each time gives every batch a token of its own.
    neighbour = whole_request(nested=False)
    accepted.append((neighbour, check(neighbour)))
    rows, inserts = stored(module_store, [checked for _, checked in accepted])
    assert rows == sorted(row for body, _ in accepted for row in expected.rows(body))
    assert inserts == 1


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32))
def test_fields_of_the_wrong_type_cost_no_neighbour(module_store: TestStore, seed: int) -> None:
    odd = [checked for _, checked in mutants(random.Random(seed), 60) if has_unknown_fields(checked)]
    neighbours = [whole_request(nested=False) for _ in range(3)]
    rows, _ = stored(module_store, [check(neighbours[0]), *odd[:5], check(neighbours[1]), *odd[5:], check(neighbours[2])])
    wanted = [row for body in neighbours for row in expected.rows(body)]
    assert [row for row in wanted if row not in rows] == []
    assert len(rows) == sum(one.spans for one in odd) + len(wanted)
