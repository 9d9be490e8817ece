"""Processes that become others: exec, multiprocessing, celery's workers, and the end of the interpreter."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.support.checkout import Checkout
from tests.support.environment import interpreter
from tests.support.programs import finish, start
from tests.support.sink import Sink

COMMIT, NAME, MODEL = "mlflow.source.git.commit", "mlflow.source.name", "mlflow.modelId"


def exporting(sink: Sink) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink.http_port}", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}


def process_ids(sink: Sink) -> dict[str, int]:
    """The process that each span's resource names."""
    return {
        span.name: {pair.key: pair.value.int_value for pair in part.resource.attributes}["process.pid"]
        for request in sink.requests
        for part in request.resource_spans
        for scope in part.scope_spans
        for span in scope.spans
    }


FIRST = """
import os, sys
from opentelemetry import trace
from spanhouse.processor import configure, set_active_model
provider = configure()
set_active_model(model_id="m-first")
with trace.get_tracer("t").start_as_current_span("first"):
    pass
provider.force_flush()
os.execv(sys.executable, [sys.executable, "jobs/second.py", str(os.getpid())])
"""
SECOND = """
import os, sys
from opentelemetry import trace
from spanhouse.processor import configure
assert sys.argv[1] == str(os.getpid())
configure()
with trace.get_tracer("t").start_as_current_span("second"):
    pass
"""


def test_a_program_that_another_one_becomes_is_stamped_by_itself(checkout: Checkout, sink: Sink) -> None:
    checkout.write("first.py", FIRST)
    checkout.write("jobs/second.py", SECOND)
    commit = checkout.commit()
    finish(start([sys.executable, "first.py"], cwd=checkout.root, environ=exporting(sink)))
    spans = [(name, resource[NAME], resource[COMMIT], resource.get(MODEL)) for name, resource, _ in sink.spans()]
    assert spans == [("first", "first.py", commit, "m-first"), ("second", "jobs/second.py", commit, None)]


OURS = "from spanhouse.processor import configure, trace_context, update_current_trace\n"
SDK_ALONE = """
import contextlib
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
def configure():
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
def trace_context(**_):
    return contextlib.nullcontext()
def update_current_trace(**_):
    pass
"""
ENDING = """
import atexit, sys, threading
from opentelemetry import trace

def span(name):
    with trace_context(tags={"in": name}), trace.get_tracer("t").start_as_current_span(name):
        update_current_trace(metadata={"of": name})

atexit.register(span, "before the provider was made")
configure()
atexit.register(span, "at exit")
release = threading.Event()
def outlive():
    release.wait()
    span("thread that the interpreter waits for")
    threading.Thread(target=forever, daemon=True).start()
def forever():
    span("daemon")
    running.set()
    while True:
        update_current_trace(metadata={"none": "is recorded"})
running = threading.Event()
threading.Thread(target=outlive).start()
open_span = trace.get_tracer("t").start_span("never ended")
span("main")
release.set()
running.wait()
"""


@pytest.mark.parametrize("end", ["", "sys.exit(0)", "raise SystemExit"])
def test_spans_that_end_while_the_interpreter_ends_arrive_as_from_the_sdk_alone(checkout: Checkout, sink: Sink, end: str) -> None:
    commit = checkout.commit("app.py")
    names = []
    for setup in (OURS, SDK_ALONE):
        checkout.write("app.py", ENDING.replace("import trace\n", "import trace\n" + setup, 1) + end)
        process = start([sys.executable, "app.py"], cwd=checkout.root, environ=exporting(sink))
        _, errors = process.communicate(timeout=120)
        assert (process.returncode, [line for line in errors.splitlines() if "no span is being recorded" not in line]) == (0, [])
        names.append(Counter(name for name, _, _ in sink.spans()))
        if setup == OURS:
            for name, resource, own in sink.spans():
                assert (resource[COMMIT], own) == (commit, {"mlflow.traceTag.in": name, "mlflow.traceMetadata.of": name})
        sink.requests.clear()
    # What is registered before the provider is made runs after it has been shut down, and a span that does not end is not sent.
    assert names == [Counter(["main", "thread that the interpreter waits for", "daemon", "at exit"])] * 2


POOL = """
import multiprocessing, os, sys
from opentelemetry import trace
from spanhouse.processor import configure, set_active_model, trace_context, update_current_trace

def work(number):
    provider = configure()
    set_active_model(model_id=f"m-{os.getpid()}")
    with trace.get_tracer("t").start_as_current_span(f"task {number}"):
        update_current_trace(metadata={"pid": os.getpid()})
    provider.force_flush()
    return number

if __name__ == "__main__":
    configure()
    with trace.get_tracer("t").start_as_current_span("parent"):
        with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
            assert pool.map(work, range(6), chunksize=1) == list(range(6))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_a_pool_send_their_spans_once_with_their_own_values(checkout: Checkout, sink: Sink, method: str) -> None:
    checkout.write("jobs/app.py", POOL)
    commit = checkout.commit()
    environ = exporting(sink) | {"OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "process,spanhouse,otel"}
    finish(start([sys.executable, "jobs/app.py", method], cwd=checkout.root, environ=environ))
    assert Counter(name for name, _, _ in sink.spans()) == Counter(["parent", *(f"task {number}" for number in range(6))])
    workers = process_ids(sink)
    for name, resource, own in sink.spans():
        assert (resource[NAME], resource[COMMIT]) == ("jobs/app.py", commit)
        if name != "parent":
            assert (own, resource[MODEL]) == ({"mlflow.traceMetadata.pid": str(workers[name])}, f"m-{workers[name]}")
            assert workers[name] != workers["parent"]


TASKS = """
import os
from celery import Celery
from celery.signals import worker_process_shutdown
from opentelemetry import trace
from spanhouse.processor import configure, set_active_model, update_current_trace

provider = configure()
app = Celery("shop", broker_url="filesystem://", result_backend="file://" + os.environ["RESULTS"])
app.conf.broker_transport_options = {"data_folder_in": os.environ["QUEUE"], "data_folder_out": os.environ["QUEUE"]}
app.conf.worker_hijack_root_logger = False

@app.task
def work(number):
    set_active_model(model_id=f"m-{os.getpid()}")
    with trace.get_tracer("t").start_as_current_span(f"task {number}"):
        update_current_trace(metadata={"pid": os.getpid()})
    return os.getpid()

@worker_process_shutdown.connect
def send(**_):
    provider.shutdown()
"""
CLIENT = """
import sys
from shop.tasks import app, work
answers = [work.delay(number) for number in range(8)]
print(*(answer.get(timeout=60) for answer in answers))
"""


def test_workers_of_celery_send_their_spans_once_with_their_own_values(checkout: Checkout, sink: Sink, tmp_path: Path) -> None:
    checkout.write("src/shop/__init__.py", "")
    checkout.write("src/shop/tasks.py", TASKS)
    commit = checkout.commit()
    python = interpreter("celery", "celery>=5.3")
    environ = exporting(sink) | {
        "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "process,spanhouse,otel",
        "QUEUE": str(tmp_path / "queue"),
        "RESULTS": str(tmp_path / "results"),
    }
    for directory in ("queue", "results"):
        (tmp_path / directory).mkdir()
    command = [python, "-m", "celery", "--workdir", "src", "-A", "shop.tasks", "worker", "--pool", "prefork", "--concurrency", "2", "-l", "INFO"]
    worker = start(command, cwd=checkout.root, environ=environ)
    client = start([python, "-c", CLIENT], cwd=checkout.root, environ=environ | {"PYTHONPATH": "src"})
    answers = [int(answer) for answer in finish(client).split()]
    worker.send_signal(signal.SIGTERM)
    finish(worker)
    assert process_ids(sink) == {f"task {number}": pid for number, pid in enumerate(answers)}
    assert len(sink.spans()) == len(answers)
    for name, resource, own in sink.spans():
        pid = str(answers[int(name.removeprefix("task "))])
        assert (resource[NAME], resource[COMMIT], resource[MODEL]) == ("shop.tasks", commit, f"m-{pid}")
        assert own == {"mlflow.traceMetadata.pid": pid}
