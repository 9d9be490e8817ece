"""The service asks admission once, parses nothing that it refuses, and answers for the rest."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from tests.support.otlp import request, span

from spanhouse.exporter.errors import InvalidRequestError, TooLargeError, UnavailableError
from spanhouse.exporter.ingest import service as service_module
from spanhouse.exporter.ingest.admission import Admission
from spanhouse.exporter.ingest.service import ExportService
from spanhouse.exporter.otlp.check import CheckedRequest
from spanhouse.exporter.otlp.check import check as real_check
from spanhouse.exporter.spool.capacity import SpoolCapacity


class Sink:
    """Queue that notes its requests, or raises an error."""

    def __init__(self) -> None:
        self.waiting_bytes = 0
        self.closing = False
        self.error: Exception | None = None
        self.added: list[CheckedRequest] = []

    async def add(self, checked: CheckedRequest) -> None:
        if self.error is not None:
            raise self.error
        self.added.append(checked)


class Asked(Admission):
    """Admission that notes each question and each block that holds memory."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink, waiting_bytes=10**6)
        self.asked: list[bytes] = []
        self.held: list[int] = []

    def check(self, body: bytes) -> None:
        self.asked.append(body)
        super().check(body)

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        self.held.append(size)
        with super().holding(size):
            yield


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def admission(sink: Sink) -> Asked:
    return Asked(sink)


@pytest.fixture
def service(sink: Sink, admission: Asked) -> ExportService:
    return ExportService(admission, sink, 10**6)


def body(*names: str) -> bytes:
    return request([span(name) for name in names]).SerializeToString()


def export(service: ExportService, sent: bytes) -> tuple[bytes, int]:
    return tuple(asyncio.run(service.export(sent)))  # type: ignore[return-value]


def test_a_request_is_asked_for_once(service: ExportService, sink: Sink, admission: Asked) -> None:
    sent = body("one", "two")
    assert export(service, sent) == (b"", 2)
    assert admission.asked == [sent]
    assert [checked.body for checked in sink.added] == [sent]


def test_a_refusal_costs_no_parse(service: ExportService, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    sink.closing = True
    monkeypatch.setattr(service_module, "check", None)
    with pytest.raises(UnavailableError, match="stopping"):
        export(service, body("one"))
    assert sink.added == []


def test_a_large_request_is_checked_in_a_thread_and_held(service: ExportService, admission: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []

    def check(sent: bytes, *more: object) -> CheckedRequest:
        threads.append(threading.current_thread())
        return real_check(sent, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(service_module, "check", check)
    large = body("x" * service_module._SMALL_BYTES)
    for sent in (body("small"), large):
        export(service, sent)
    assert [thread is threading.main_thread() for thread in threads] == [True, False]
    assert admission.held == [len(large)]


def test_more_bytes_than_allowed_are_refused_before_admission_is_asked(service: ExportService, admission: Asked) -> None:
    with pytest.raises(TooLargeError):
        export(service, bytes(10**6 + 1))
    assert admission.asked == []


def test_a_request_without_spans_is_acknowledged_and_not_queued(service: ExportService, sink: Sink) -> None:
    assert export(service, b"") == (b"", 0)
    assert sink.added == []


def test_rejected_spans_are_named_in_the_answer(service: ExportService) -> None:
    bad = request([span("bad"), span("good")])
    bad.resource_spans[0].scope_spans[0].spans[0].span_id = b""
    response, spans = export(service, bad.SerializeToString())
    assert spans == 1
    assert ExportTraceServiceResponse.FromString(response).partial_success.rejected_spans == 1


def test_a_refused_request_is_a_retry_until_it_is_taken(sink: Sink, tmp_path: Path) -> None:
    capacity = SpoolCapacity(tmp_path, 8000, 0)
    service = ExportService(Admission(sink, waiting_bytes=10**6, capacity=capacity), sink, 10**6)
    first, other = body("first"), body("other")
    capacity.add(7000)
    with pytest.raises(UnavailableError, match="the spool is full"):
        export(service, first)
    assert export(service, first) == (b"", 1), "the reserve is for retries"
    with pytest.raises(UnavailableError):
        export(service, first)
    sink.error = UnavailableError("the append found no room", 2)
    capacity.add(-7000)
    with pytest.raises(UnavailableError, match="no room"):
        export(service, other)
    capacity.add(7000)
    sink.error = None
    assert export(service, other) == (b"", 1), "a request that the append refuses is a retry, too"
    assert [checked.body for checked in sink.added] == [first, other]


def test_errors_for_the_client_pass_and_a_fault_of_ours_is_logged_and_retryable(
    service: ExportService, sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InvalidRequestError):
        export(service, b"garbage")
    assert caplog.text == ""
    sink.error = RuntimeError("our fault")
    with pytest.raises(UnavailableError, match="its log says why"):
        export(service, body("one"))
    assert "RuntimeError: our fault" in caplog.text
