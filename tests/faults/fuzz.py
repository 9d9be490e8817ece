"""Sends damaged requests over both transports to a real server: ``python -m tests.faults.fuzz --requests N``.

Every answer has to be one that OTLP allows, in the request's encoding and in time; the server must neither crash nor log a failure of its own
nor grow; and the undamaged requests among them have to be acknowledged and stored, each once. A request that fails is named by its number and
the seed, of which it can be made again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
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
from tests.faults.fuzz_cases import JSON, PROTOBUF, SENTINEL, Case, head, make
from tests.support.receiver import EXPORT
from tests.support.serve import Serve

_SECONDS: Final = 60.0
_CODES: Final = {3: 400, 8: 413, 12: 404, 14: 503}
"""The HTTP status of each gRPC code; 405 and 415 stand for codes 12 and 3, too."""
_COMPRESSION: Final = {"identity": grpc.Compression.NoCompression, "gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}
_MEMORY_BYTES: Final = 600 * 2**20
_GROWTH: Final = 1.25
"""How far a long run's memory at its end may be above the highest of its first half."""
_LONG_RUN_SECONDS: Final = 600


class IllegalAnswerError(AssertionError):
    """An answer that OTLP does not allow."""


class Fuzzer:
    """Sends so many requests, a number of them at once.

    Attributes:
        answers: how often each answer came.
        sentinels: ids of the undamaged spans that were acknowledged.
    """

    def __init__(self, grpc_address: str, http_address: str, *, requests: int, seed: int) -> None:
        self._grpc, (self._host, self._port) = grpc_address, http_address.rsplit(":", 1)
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
        connection = _Http(self._host, int(self._port))
        for number in self._numbers:
            case = make(number, self._seed)
            try:
                async with asyncio.timeout(_SECONDS):
                    answer = await (self._over_grpc(channel, case) if case.grpc else connection.send(case))
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


class _Http:
    """A connection that is opened again when the server has closed it."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def send(self, case: Case) -> str:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        writer.write((case.raw or head(case)) + case.body)
        if case.raw:
            return await self._any_answer(reader, writer)
        while (status := await self._status(reader))[0] == 100:
            pass
        code, headers = status
        body = b"" if case.method == "HEAD" else await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection", "") == "close":
            self.close()
        return _legal(case, code, headers, body)

    async def _status(self, reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split()[1]), headers

    async def _any_answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """What comes for a head that may mean anything: some answers, or the end."""
        writer.write_eof()
        came = await reader.read()
        self.close()
        assert not came or re.match(rb"HTTP/1\.[01] [1-5]\d\d ", came), came[:100]
        return f"raw {came[9:12].decode()}"


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


def anonymous_bytes(pid: int) -> int:
    """Memory of a process that is its own."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"RssAnon:\s+(\d+) kB", text)[0]) * 1024


def fuzz(directory: Path, *, requests: int, seed: int, at_once: int = 64) -> dict[str, Any]:
    """Run against a server of its own.

    Returns:
        What happened, for the record.

    Raises:
        AssertionError: something did not hold.
    """
    with Serve(directory) as serve:
        fuzzer = Fuzzer(serve.grpc, serve.http, requests=requests, seed=seed)
        memory: list[int] = []

        async def watch() -> None:
            while True:
                memory.append(anonymous_bytes(serve.process.pid))
                await asyncio.sleep(0.5)

        async def run() -> None:
            watching = asyncio.create_task(watch())
            await fuzzer.run(at_once)
            watching.cancel()

        begun = time.monotonic()
        uvloop.run(run())
        seconds = time.monotonic() - begun
        serve.drained()
        assert serve.process.poll() is None
        stored = _query(serve, f"SELECT count(), uniqExact(SpanId) FROM otel_traces WHERE SpanName = '{SENTINEL}'")
        with urlopen(f"http://{serve.http}/metrics", timeout=30) as answer:
            metrics = answer.read().decode()
        log = serve.log.read_text()
        assert serve.stop() == 0
    first_half, last_tenth = memory[: len(memory) // 2 or 1], sorted(memory[-max(1, len(memory) // 10) :])
    at_end = last_tenth[len(last_tenth) // 2]
    found = {
        "requests": fuzzer.sent,
        "seconds": round(seconds),
        "answers": dict(sorted(fuzzer.answers.items())),
        "undamaged requests acknowledged, stored": [len(fuzzer.sentinels), stored[0]],
        "dead letters": sum(map(float, re.findall(r"^spanhouse_dead_letters_total.* (\S+)$", metrics, re.MULTILINE))),
        "anonymous memory MB, highest, highest of the first half, median of the last tenth": [
            *(size >> 20 for size in (max(memory), max(first_half), at_end)),
        ],
    }
    assert fuzzer.sent == requests
    assert stored == [len(fuzzer.sentinels)] * 2, found
    assert found["dead letters"] == 0, found
    assert "Traceback" not in log, log[-5000:]
    assert max(memory) <= _MEMORY_BYTES, found
    assert seconds < _LONG_RUN_SECONDS or at_end <= _GROWTH * max(first_half), found
    return found


def _query(serve: Serve, sql: str) -> list[int]:
    with urlopen(f"http://{serve.clickhouse_http}/", data=sql.encode(), timeout=60) as answer:
        return [int(number) for number in answer.read().split()]


def main() -> None:
    """Fuzz as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        found = fuzz(Path(directory), requests=options.requests, seed=options.seed)
    json.dump({"seed": options.seed, **found}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
