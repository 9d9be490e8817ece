"""Sends damaged requests over both transports to a real server: ``python -m tests.faults.fuzz --requests N``.

Every answer has to be one that OTLP allows, in the request's encoding and in time; the server must neither crash nor log a failure of its own
nor grow; and the undamaged requests among them have to be acknowledged and stored, each once. A request that fails is named by its number and
the seed, of which it can be made again.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import grpc
import grpc.aio
import uvloop
from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from tests.faults.fuzz_cases import JSON, PROTOBUF, SENTINEL, Case, make
from tests.faults.fuzzing import Connection, IllegalAnswerError, Memory, head, run_as_told
from tests.support.receiver import EXPORT
from tests.support.serve import Serve

_SECONDS: Final = 60.0
_CODES: Final = {3: 400, 8: 413, 12: 404, 14: 503}
"""The HTTP status of each gRPC code; 405 and 415 stand for codes 12 and 3, too."""
_COMPRESSION: Final = {"identity": grpc.Compression.NoCompression, "gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}


class Fuzzer:
    """Sends so many requests, a number of them at once.

    Attributes:
        answers: how often each answer came.
        sentinels: ids of the undamaged spans that were acknowledged.
    """

    def __init__(self, grpc_address: str, http_address: str, *, requests: int, seed: int) -> None:
        self._grpc, self._http = grpc_address, http_address
        self._seed = seed
        self._numbers: Iterator[int] = iter(range(requests))
        self.answers: Counter[str] = Counter()
        self.sentinels: list[str] = []
        self.sent = 0

    async def run(self, at_once: int) -> None:
        """Send all of them."""
        async with grpc.aio.insecure_channel(self._grpc) as channel, asyncio.TaskGroup() as workers:
            for _ in range(at_once):
                workers.create_task(self._work(channel))

    async def _work(self, channel: grpc.aio.Channel) -> None:
        connection = Connection(self._http)
        for number in self._numbers:
            case = make(number, self._seed)
            try:
                async with asyncio.timeout(_SECONDS):
                    answer = await (self._over_grpc(channel, case) if case.grpc else _over_http(connection, case))
            except Exception as error:
                raise IllegalAnswerError(f"request {number} of seed {self._seed}: {error!r}") from error
            if case.sentinel:
                if not answer.endswith("whole"):
                    raise IllegalAnswerError(f"request {number} of seed {self._seed} is undamaged and was answered {answer}")
                self.sentinels.append(case.sentinel)
            self.answers[answer] += 1
            self.sent += 1
        connection.close()

    async def _over_grpc(self, channel: grpc.aio.Channel, case: Case) -> str:
        call: Any = channel.unary_unary(case.method or EXPORT)
        try:
            answer = await call(case.body, compression=_COMPRESSION[case.packing])
        except grpc.aio.AioRpcError as error:
            return _refused(case, error)
        return f"grpc OK {_success(ExportTraceServiceResponse.FromString(answer))}"


async def _over_http(connection: Connection, case: Case) -> str:
    if case.raw:
        return await connection.ask_anything(case.raw + case.body)
    return _legal(case, *await connection.ask(head(case.method, case.path, case.headers, case.body) + case.body, method=case.method))


def _refused(case: Case, error: grpc.aio.AioRpcError) -> str:
    """Check an error over gRPC; its name."""
    code, details = error.code(), dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    assert isinstance(details, bytes)
    # gRPC itself answers calls that nobody serves.
    if details or not case.method:
        status = Status.FromString(details)
        assert (status.code, status.message) == (code.value[0], error.details()), (code, status)
        assert status.code in _CODES, status
        assert _has_retry(status) == (status.code == 14), status
    return f"grpc {code.name}"


def _legal(case: Case, code: int, headers: dict[str, str], body: bytes) -> str:
    """Check an answer by OTLP's rules; its name."""
    as_json = case.headers.get("content-type", "").partition(";")[0].strip().lower() == JSON
    assert headers["content-type"] == (JSON if as_json else PROTOBUF), headers
    if case.method == "HEAD":
        return f"http {code}"
    try:
        if code == 200:
            response = ExportTraceServiceResponse()
            return f"http 200 {_success(Parse(body, response) if as_json else ExportTraceServiceResponse.FromString(body))}"
        status = Parse(body, Status()) if as_json else Status.FromString(body)
    except (DecodeError, ParseError) as error:
        raise IllegalAnswerError(f"{code}: {body[:200]!r}") from error
    assert _CODES[status.code] == code or (status.code, code) in {(12, 405), (3, 415)}, (code, status)
    assert status.message, code
    assert "\n" not in status.message, status.message
    assert ("retry-after" in headers) == _has_retry(status) == (code == 503), (code, headers)
    return f"http {code}"


def _success(response: ExportTraceServiceResponse) -> str:
    if not response.HasField("partial_success"):
        return "whole"
    assert response.partial_success.error_message
    assert response.partial_success.rejected_spans >= 0
    return "partial" if response.partial_success.rejected_spans else "cut"


def _has_retry(status: Status) -> bool:
    return any(detail.Is(RetryInfo.DESCRIPTOR) for detail in status.details)


def fuzz(directory: Path, *, requests: int, seed: int, at_once: int = 64) -> dict[str, Any]:
    """Run against a server of its own.

    Returns:
        What happened, for the record.

    Raises:
        AssertionError: something did not hold.
    """
    with Serve(directory) as serve:
        fuzzer = Fuzzer(serve.grpc, serve.http, requests=requests, seed=seed)
        memory = Memory(serve.process.pid)
        uvloop.run(memory.during(fuzzer.run(at_once)))
        serve.drained()
        assert serve.process.poll() is None
        stored = _query(serve, f"SELECT count(), uniqExact(SpanId) FROM otel_traces WHERE SpanName = '{SENTINEL}'")
        with urlopen(f"http://{serve.http}/metrics", timeout=30) as answer:
            metrics = answer.read().decode()
        log = serve.log.read_text()
        assert serve.stop() == 0
    found = {
        "requests": fuzzer.sent,
        "seconds": round(memory.seconds),
        "answers": dict(sorted(fuzzer.answers.items())),
        "undamaged requests acknowledged, stored": [len(fuzzer.sentinels), stored[0]],
        "dead letters": sum(map(float, re.findall(r"^spanhouse_dead_letters_total.* (\S+)$", metrics, re.MULTILINE))),
        **memory.found(),
    }
    assert fuzzer.sent == requests
    assert stored == [len(fuzzer.sentinels)] * 2, found
    assert found["dead letters"] == 0, found
    assert "Traceback" not in log, log[-5000:]
    memory.check()
    return found


def _query(serve: Serve, sql: str) -> list[int]:
    with urlopen(f"http://{serve.clickhouse_http}/", data=sql.encode(), timeout=60) as answer:
        return [int(number) for number in answer.read().split()]


if __name__ == "__main__":
    run_as_told(fuzz, __doc__, 1_000_000)
