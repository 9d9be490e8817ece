"""Every client that speaks OTLP is stored as it meant it: the exporters of the SDKs, MLflow's, and a collector in between."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, set_span_in_context
from tests.support.environment import interpreter
from tests.support.node import node_program
from tests.support.programs import finish, start
from tests.support.receiver import Receiver
from tests.support.store import TestStore

NODE = Path(__file__).parents[1] / "support" / "clients" / "node"
ROTEL = "rotel==0.0.1a15"


@pytest.fixture
def receiver(store: TestStore) -> Iterator[Receiver]:
    with Receiver(store) as running:
        yield running


def spans(store: TestStore) -> dict[str, dict[str, Any]]:
    return {row["SpanName"]: row for row in store.rows("SELECT * FROM otel_traces")}


def send_from_python(exporter: SpanExporter, service: str) -> None:
    provider = TracerProvider(resource=Resource({"service.name": service, "team": "search", "hosts": ["a", "b"]}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("shop", "1.2.3")
    root = tracer.start_span("checkout", kind=SpanKind.SERVER)
    root.set_attributes(
        {"text": "é \U0001f600", "int": 42, "big": 2**40, "float": 0.25, "flag": True, "list": ["a", "b"], "numbers": [1.0, 2.5], "empty": ""}
    )
    root.set_attribute("map", {"a": 1, "b": [True, {"c": "d"}]})
    child = tracer.start_span("pay", context=set_span_in_context(root), kind=SpanKind.CLIENT, links=[Link(root.get_span_context(), {"why": "retry"})])
    child.add_event("refused", {"code": 402, "reasons": ["limit", "country"]})
    child.record_exception(TypeError("no money"))
    child.set_status(Status(StatusCode.ERROR, "no money"))
    child.end()
    root.end()
    provider.shutdown()


def assert_stored(store: TestStore, service: str) -> None:
    """The trace that every client sends is stored whole."""
    stored = spans(store)
    assert set(stored) == {"checkout", "pay"}
    root, child = stored["checkout"], stored["pay"]
    attributes = {"text": "é \U0001f600", "int": "42", "big": str(2**40), "float": "0.25", "flag": "true", "list": '["a","b"]', "empty": ""}
    attributes |= {"numbers": "[1,2.5]", "map": '{"a":1,"b":[true,{"c":"d"}]}'}
    assert root["SpanAttributes"] == attributes
    assert root["ResourceAttributes"].items() >= {"service.name": service, "team": "search", "hosts": '["a","b"]'}.items()
    assert (root["ServiceName"], root["ScopeName"], root["ScopeVersion"]) == (service, "shop", "1.2.3")
    assert (root["SpanKind"], root["StatusCode"], root["ParentSpanId"]) == ("Server", "Unset", "")
    assert (child["SpanKind"], child["StatusCode"], child["StatusMessage"]) == ("Client", "Error", "no money")
    assert (child["TraceId"], child["ParentSpanId"]) == (root["TraceId"], root["SpanId"])
    assert (child["Links.TraceId"], child["Links.SpanId"], child["Links.Attributes"]) == ([root["TraceId"]], [root["SpanId"]], [{"why": "retry"}])
    assert child["Events.Name"] == ["refused", "exception"]
    refused, exception = child["Events.Attributes"]
    assert refused == {"code": "402", "reasons": '["limit","country"]'}
    assert (exception["exception.type"], exception["exception.message"]) == ("TypeError", "no money")
    assert "no money" in exception["exception.stacktrace"]


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_the_python_sdk(receiver: Receiver, store: TestStore, protocol: str) -> None:
    exporter: SpanExporter
    if protocol == "grpc":
        exporter = GrpcExporter(endpoint=receiver.grpc, insecure=True)
    else:
        exporter = HttpExporter(endpoint=f"http://{receiver.http}/v1/traces")
    send_from_python(exporter, f"python {protocol}")
    assert_stored(store, f"python {protocol}")


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "http/json"])
def test_the_node_sdk(receiver: Receiver, store: TestStore, protocol: str) -> None:
    node, program = node_program(NODE)
    url = f"http://{receiver.grpc}" if protocol == "grpc" else f"http://{receiver.http}/v1/traces"
    done = subprocess.run([node, "send.mjs", protocol, url, f"node {protocol}"], cwd=program, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert_stored(store, f"node {protocol}")
    assert done.stdout.strip() == spans(store)["checkout"]["TraceId"]


def test_a_collector_in_between(receiver: Receiver, store: TestStore, tmp_path: Path) -> None:
    with rotel(receiver, tmp_path) as (collector, port):
        send_from_python(GrpcExporter(endpoint=f"127.0.0.1:{port}", insecure=True), "through rotel")
        # It sends what it holds before it ends.
        collector.terminate()
        assert collector.wait(30) == 0, (tmp_path / "rotel.log").read_text()
    assert_stored(store, "through rotel")


@contextmanager
def rotel(receiver: Receiver, directory: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The collector, and the port of its gRPC listener. It takes no port 0, and what is free may be so no longer when it starts."""
    (agent,) = Path(interpreter("rotel", ROTEL)).parents[1].glob("lib/python*/site-packages/rotel/rotel-agent")
    for _ in range(5):
        grpc_port, http_port = free_ports()
        command = [str(agent), "start", "--otlp-grpc-endpoint", f"127.0.0.1:{grpc_port}", "--otlp-http-endpoint", f"127.0.0.1:{http_port}"]
        command += ["--exporter", "otlp", "--otlp-exporter-endpoint", f"http://{receiver.grpc}", "--otlp-exporter-protocol", "grpc"]
        with (directory / "rotel.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log, cwd=directory) as collector:
            try:
                if opens(collector, grpc_port):
                    yield collector, grpc_port
                    return
            finally:
                collector.terminate()
    raise AssertionError((directory / "rotel.log").read_text())


def free_ports() -> tuple[int, int]:
    """Two different ones."""
    with socket.socket() as first, socket.socket() as second:
        for bound in (first, second):
            bound.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


def opens(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until the port is open; False if the process ends before."""
    deadline = time.monotonic() + 30
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, f"nothing listens on port {port}"
        else:
            return True
    return False


FROM_MLFLOW = """
import warnings
warnings.simplefilter("ignore")
import mlflow
from mlflow.entities import SpanEvent

@mlflow.trace(span_type="TOOL")
def pay(order):
    mlflow.get_current_active_span().add_event(SpanEvent("refused", attributes={"code": 402}))
    raise TypeError("no money")

@mlflow.trace(name="checkout", attributes={"team": "search", "map": {"a": [1, None]}})
def checkout(order):
    try:
        pay(order)
    except TypeError:
        return {"paid": False}

checkout({"id": 7, "items": ["é"]})
mlflow.flush_trace_async_logging()
"""


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_the_exporter_of_mlflow(receiver: Receiver, store: TestStore, tmp_path: Path, protocol: str) -> None:
    python = interpreter("mlflow", "mlflow-skinny>=3.10")
    endpoint = f"http://{receiver.grpc}" if protocol == "grpc" else f"http://{receiver.http}/v1/traces"
    variables = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": protocol,
        "OTEL_SERVICE_NAME": f"mlflow {protocol}",
        "MLFLOW_TRACKING_URI": (tmp_path / "mlruns").as_uri(),
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    finish(start([python, "-c", FROM_MLFLOW], cwd=tmp_path, environ=variables))
    stored = spans(store)
    assert set(stored) == {"checkout", "pay"}
    root, child = stored["checkout"], stored["pay"]
    assert (root["ServiceName"], root["StatusCode"], root["ParentSpanId"]) == (f"mlflow {protocol}", "Ok", "")
    assert json.loads(root["SpanAttributes"]["mlflow.spanInputs"]) == {"order": {"id": 7, "items": ["é"]}}
    assert json.loads(root["SpanAttributes"]["map"]) == {"a": [1, None]}
    assert (child["StatusCode"], child["StatusMessage"], child["ParentSpanId"]) == ("Error", "TypeError: no money", root["SpanId"])
    assert child["Events.Name"] == ["refused", "exception"]
    assert child["Events.Attributes"][0] == {"code": "402"}
    assert child["Events.Attributes"][1]["exception.message"] == "no money"
