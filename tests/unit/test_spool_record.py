"""A run of records is an OTLP request, and whatever is damaged in it is named."""

from __future__ import annotations

import io

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.support.otlp import request, span

from spanhouse.exporter.otlp.digest import digest
from spanhouse.exporter.spool import record as record_module
from spanhouse.exporter.spool.record import HEADER_BYTES, Damage, Record, header

BODIES = [request([span(f"span {number}", attributes={"key": "value" * number})]).SerializeToString() for number in range(5)]


def run(bodies: list[bytes], begin: int = 0) -> bytes:
    data = b""
    for number, body in enumerate(bodies):
        data += header(body, spans=number, received_ns=1_700_000_000_000_000_000 + number, begin=begin + len(data)) + body
    return data


def read(data: bytes) -> tuple[list[Record], list[Damage]]:
    return record_module.read(io.BytesIO(data))


def read_bodies(data: bytes) -> list[bytes]:
    return [data[record.body] for record in read(data)[0]]


def test_records_are_read_as_they_were_written() -> None:
    records, damages = read(run(BODIES))
    assert read_bodies(run(BODIES)) == BODIES
    assert damages == []
    assert [record.spans for record in records] == [0, 1, 2, 3, 4]
    assert [record.received_ns - 1_700_000_000_000_000_000 for record in records] == [0, 1, 2, 3, 4]
    assert [record.digest for record in records] == [digest(body) for body in BODIES]


def test_an_empty_file_holds_nothing() -> None:
    assert read(b"") == ([], [])


def test_a_run_of_records_is_one_otlp_request() -> None:
    joined = ExportTraceServiceRequest.FromString(run(BODIES))
    joined.DiscardUnknownFields()
    assert joined == ExportTraceServiceRequest.FromString(b"".join(BODIES))


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_a_flipped_byte_costs_its_record_alone_wherever_it_is(mask: int) -> None:
    whole = run(BODIES)
    for at in range(len(whole)):
        data = bytearray(whole)
        data[at] ^= mask
        records, damages = read(bytes(data))
        hit = next(number for number, record in enumerate(read(whole)[0]) if record.begin <= at < record.end)
        assert [bytes(data)[record.body] for record in records] == BODIES[:hit] + BODIES[hit + 1 :]
        assert [(damage.begin, damage.end) for damage in damages] == [(read(whole)[0][hit].begin, read(whole)[0][hit].end)]


@pytest.mark.parametrize("window", range(HEADER_BYTES, 3 * HEADER_BYTES, 5))
def test_records_after_damage_are_found_wherever_the_windows_of_the_search_end(window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_module, "_WINDOW_BYTES", window)
    for damaged in range(1, 3 * HEADER_BYTES):
        data = bytes(damaged) + run(BODIES, begin=damaged)
        assert read_bodies(data) == BODIES
        assert read(data)[1] == [Damage(0, damaged, torn=False)]


def test_a_file_cut_off_anywhere_keeps_the_records_before_and_names_its_torn_end() -> None:
    whole = run(BODIES)
    ends = [record.end for record in read(whole)[0]]
    for size in range(len(whole)):
        kept = sum(end <= size for end in ends)
        assert read_bodies(whole[:size]) == BODIES[:kept]
        begin = ([0, *ends])[kept]
        assert read(whole[:size])[1] == ([Damage(begin, size, torn=True)] if size > begin else [])


@pytest.mark.parametrize("zeros", [1, HEADER_BYTES - 1, HEADER_BYTES, 4096])
def test_zeros_at_the_end_are_a_torn_end(zeros: int) -> None:
    whole = run(BODIES)
    assert read_bodies(whole + bytes(zeros)) == BODIES
    assert read(whole + bytes(zeros))[1] == [Damage(len(whole), len(whole) + zeros, torn=True)]


def test_a_record_within_a_request_is_never_taken_for_one() -> None:
    inner = request([span("never sent")]).SerializeToString()
    stored_by_a_client = run([inner])
    outer = request([span("outer", attributes={"segment": stored_by_a_client})]).SerializeToString()
    whole = run([outer, BODIES[1]])
    assert read_bodies(whole) == [outer, BODIES[1]]
    for at in range(HEADER_BYTES):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        assert read_bodies(bytes(damaged)) == [BODIES[1]]
