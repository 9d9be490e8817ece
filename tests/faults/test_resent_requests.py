"""A request that a client sends again is stored once and gets the same answer, whenever it comes."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Callable
from pathlib import Path

import clickhouse_connect
import grpc
from tests.support.otlp import request, span
from tests.support.receiver import EXPORT
from tests.support.serve import Serve


def post(serve: Serve, body: bytes) -> bytes:
    connection = http.client.HTTPConnection(serve.http, timeout=60)
    connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
    response = connection.getresponse()
    assert response.status == 200
    answer = response.read()
    connection.close()
    return answer


def over_grpc(serve: Serve, body: bytes) -> bytes:
    with grpc.insecure_channel(serve.grpc) as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
        return call(body, timeout=60)


def resent(serve: Serve) -> int:
    connection = http.client.HTTPConnection(serve.http, timeout=60)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    (count,) = re.findall(r"^spanhouse_resent_requests_total (\S+)$", text, re.MULTILINE)
    return int(float(count))


def counts(serve: Serve) -> dict[str, int]:
    client = clickhouse_connect.get_client(dsn=serve.dsn)
    found = client.query("SELECT SpanName, count() FROM otel_traces GROUP BY SpanName").result_rows
    in_traces = client.command("SELECT sum(SpanCount) FROM traces")
    client.close()
    assert in_traces == sum(times for _, times in found)
    return {str(name): int(times) for name, times in found}


def together(calls: list[Callable[[], bytes]]) -> list[bytes]:
    answers: list[bytes] = []
    threads = [threading.Thread(target=lambda call=call: answers.append(call())) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == len(calls)
    return answers


def test_a_request_is_stored_once_however_often_it_comes(tmp_path: Path) -> None:
    whole = request([span("whole")]).SerializeToString()
    partly = request([span("good"), span("without id", trace_id=b"")]).SerializeToString()
    with Serve(tmp_path) as serve:
        # At the same time, so that both wait for one acknowledgement, and one may be in the segment before.
        (answer,) = set(together([lambda: post(serve, whole)] * 4 + [lambda: over_grpc(serve, whole)] * 4))
        assert answer == b""
        first = post(serve, partly)
        assert b"trace_id must be 16 bytes" in first
        assert post(serve, partly) == over_grpc(serve, partly) == first
        serve.drained()
        assert resent(serve) == 9
        # In another batch, beside others.
        (again,) = set(together([lambda: post(serve, whole), lambda: post(serve, request([span("other")]).SerializeToString())]))
        assert again == b""
        assert post(serve, partly) == first
        serve.drained()
        assert resent(serve) == 11
        assert counts(serve) == {"whole": 1, "good": 1, "other": 1}
        assert serve.stop(9) == -9
    with Serve(tmp_path) as serve:
        assert post(serve, partly) == first
        assert post(serve, whole) == b""
        serve.drained()
        assert resent(serve) == 2
        assert counts(serve) == {"whole": 1, "good": 1, "other": 1}
