"""Health checks, readiness and metrics, as operators and their tools read them."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from prometheus_client.parser import text_string_to_metric_families
from tests.support.otlp import request, span
from tests.support.receiver import EXPORT, Receiver
from tests.support.serve import Serve
from tests.support.store import TestStore
from tests.support.tokens import digest, token_file

from spanhouse.exporter.access.tokens import Right, Tokens
from spanhouse.exporter.readiness import STOPPING, Readiness

TRACES = "opentelemetry.proto.collector.trace.v1.TraceService"
BODY = request([span("one"), span("two")]).SerializeToString()


@pytest.fixture(scope="module")
def receiver(module_store: TestStore) -> Iterator[Receiver]:
    with Receiver(module_store) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(module_store: TestStore) -> Iterator[Receiver]:
    tokens = Tokens({digest("app"): frozenset({Right.INGEST}), digest("prometheus"): frozenset({Right.READ})})
    with Receiver(module_store, tokens=tokens) as running:
        yield running


def health(channel: grpc.Channel) -> Any:
    return health_pb2_grpc.HealthStub(channel)  # its type information leaves out its methods


def get(receiver: Receiver, path: str, **headers: str) -> tuple[int, str]:
    status, body, _ = receiver.post(b"", path=path, method="GET", **headers)
    return status, body.decode()


def counted(receiver: Receiver, **headers: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    status, text = get(receiver, "/metrics", **headers)
    assert status == 200
    families = text_string_to_metric_families(text)
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for family in families for sample in family.samples}


def test_it_is_alive_and_ready(receiver: Receiver) -> None:
    assert get(receiver, "/livez") == (200, "ok\n")
    status, body = get(receiver, "/readyz")
    assert (status, json.loads(body)) == (200, {"ready": True, "not_ready": {}})


def test_it_says_what_is_not_ready_until_it_is(receiver: Receiver) -> None:
    receiver.readiness.set("spool", "full: 16 GiB wait to be stored")
    status, body = get(receiver, "/readyz")
    assert (status, json.loads(body)) == (503, {"ready": False, "not_ready": {"spool": "full: 16 GiB wait to be stored"}})
    assert get(receiver, "/livez")[0] == 200
    receiver.readiness.set("spool", None)
    assert get(receiver, "/readyz")[0] == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_these_paths_are_read_only(receiver: Receiver, path: str) -> None:
    status, _, headers = receiver.post(b"", path=path)
    assert (status, headers["allow"]) == (405, "GET, HEAD")


def test_metrics_agree_with_what_was_sent(receiver: Receiver) -> None:
    before = counted(receiver)
    assert receiver.export(BODY) == b""
    assert receiver.post(BODY)[0] == receiver.post(BODY)[0] == 200
    assert receiver.post(b"garbage")[0] == 400
    assert receiver.post(BODY, content_type="text/plain")[0] == 415
    assert receiver.post(BODY, origin="https://elsewhere.example")[0] == 403
    with pytest.raises(grpc.RpcError):
        receiver.export(b"garbage")
    with pytest.raises(grpc.RpcError):
        receiver.export(b"", method=EXPORT.replace("trace", "logs").replace("Trace", "Logs"))
    after = counted(receiver)
    grown = {key: after[key] - before.get(key, 0) for key in after if key[0].startswith("spanhouse_") and not key[0].endswith("_created")}

    def of(name: str, **labels: str) -> float:
        return grown[f"spanhouse_{name}_total", tuple(sorted(labels.items()))]

    assert (of("requests", transport="grpc"), of("spans", transport="grpc")) == (1, 2)
    assert (of("requests", transport="http"), of("spans", transport="http")) == (2, 4)
    refused = {key[1]: value for key, value in grown.items() if key[0] == "spanhouse_refused_requests_total" and value}
    assert refused == {
        (("reason", "invalid_request"), ("transport", "grpc")): 1,
        (("reason", "not_kept"), ("transport", "grpc")): 1,
        (("reason", "invalid_request"), ("transport", "http")): 1,
        (("reason", "unsupported_media_type"), ("transport", "http")): 1,
        (("reason", "foreign_origin"), ("transport", "http")): 1,
    }
    assert after["spanhouse_http_connections", (("listener", "http"),)] >= 1, "the one that asks"
    assert [key[1][1][0] for key in after if key[0] == "spanhouse_build_info"] == ["version"]


def test_metrics_need_the_right_to_read_where_tokens_are_asked_for_and_probes_need_nothing(guarded: Receiver) -> None:
    status, _, headers = guarded.post(b"", path="/metrics", method="GET")
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert get(guarded, "/metrics", authorization="Bearer app")[0] == 403
    assert get(guarded, "/metrics", authorization="Bearer prometheus")[0] == 200
    assert get(guarded, "/livez")[0] == get(guarded, "/readyz")[0] == 200
    assert check(guarded, "") == HealthCheckResponse.SERVING


def check(receiver: Receiver, service: str) -> int:
    return int(health(receiver.channel).Check(HealthCheckRequest(service=service), timeout=30).status)


@pytest.mark.parametrize("service", ["", TRACES])
def test_the_health_service_says_whether_requests_are_taken(receiver: Receiver, service: str) -> None:
    assert check(receiver, service) == HealthCheckResponse.SERVING
    receiver.readiness.set("store", "does not answer")
    assert check(receiver, service) == HealthCheckResponse.NOT_SERVING
    receiver.readiness.set("store", None)
    assert check(receiver, service) == HealthCheckResponse.SERVING


def test_the_health_service_knows_no_other_service(receiver: Receiver) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        check(receiver, "opentelemetry.proto.collector.logs.v1.LogsService")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    watched = health(receiver.channel).Watch(HealthCheckRequest(service="other"), timeout=30)
    assert next(watched).status == HealthCheckResponse.SERVICE_UNKNOWN
    watched.cancel()


def test_who_watches_health_is_told_of_each_change_and_of_the_end(receiver: Receiver) -> None:
    watched = health(receiver.channel).Watch(HealthCheckRequest(service=TRACES), timeout=60)
    assert next(watched).status == HealthCheckResponse.SERVING
    receiver.readiness.set("spool", "full")
    assert next(watched).status == HealthCheckResponse.NOT_SERVING
    receiver.readiness.set("spool", None)
    assert next(watched).status == HealthCheckResponse.SERVING
    receiver.readiness.set(STOPPING, "soon")
    assert [answer.status for answer in watched] == [HealthCheckResponse.NOT_SERVING]
    receiver.readiness.set(STOPPING, None)


def test_conditions_may_be_set_from_any_thread() -> None:
    readiness = Readiness()

    async def seen() -> dict[str, str]:
        waiting = asyncio.create_task(readiness.other_than({}))
        await asyncio.sleep(0)
        threading.Thread(target=readiness.set, args=("spool", "full")).start()
        return dict(await asyncio.wait_for(waiting, 30))

    assert asyncio.run(seen()) == {"spool": "full"}


def test_a_stop_is_told_to_who_watches_and_is_not_delayed_by_them(tmp_path: Path) -> None:
    with Serve(tmp_path) as serve, grpc.insecure_channel(serve.grpc) as channel:
        watched = health(channel).Watch(HealthCheckRequest(), timeout=60)
        assert next(watched).status == HealthCheckResponse.SERVING
        serve.process.send_signal(signal.SIGTERM)
        assert [answer.status for answer in watched] == [HealthCheckResponse.NOT_SERVING]
        assert serve.stop() == 0
        assert serve.log.read_text() == ""


def test_a_token_that_is_taken_out_of_the_file_is_refused_on_connections_that_are_open(tmp_path: Path) -> None:
    tokens = token_file(tmp_path / "tokens", "old", "new")
    with Serve(tmp_path, "--token-file", str(tokens), "--log-level", "info") as serve, grpc.insecure_channel(serve.grpc) as channel:
        export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
        otlp, queries = (http.client.HTTPConnection(address, timeout=60) for address in (serve.http, serve.clickhouse_http))

        def answers(token: str) -> tuple[str, int, int]:
            try:
                export(BODY, metadata=(("x-api-key", token),), timeout=60)
                over_grpc = "OK"
            except grpc.RpcError as error:
                over_grpc = error.code().name
            statuses = []
            for connection, body in ((otlp, BODY), (queries, b"SELECT 1")):
                path = "/v1/traces" if connection is otlp else "/"
                connection.request("POST", path, body, {"api-key": token, "content-type": "application/x-protobuf"})
                response = connection.getresponse()
                response.read()
                statuses.append(response.status)
            return over_grpc, statuses[0], statuses[1]

        assert answers("old") == answers("new") == ("OK", 200, 200)
        sockets = otlp.sock, queries.sock
        token_file(tokens, "new")
        serve.process.send_signal(signal.SIGHUP)
        serve.logged("token file reloaded: 1 tokens")
        assert answers("old") == ("UNAUTHENTICATED", 401, 401)
        assert answers("new") == ("OK", 200, 200)
        assert (otlp.sock, queries.sock) == sockets
        otlp.close()
        queries.close()
        assert "old" not in serve.log.read_text().split()
