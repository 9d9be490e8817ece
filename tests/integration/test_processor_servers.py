"""Servers, workers and notebooks as they really run, and what reaches a receiver from them."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from tests.support.checkout import Checkout
from tests.support.environment import interpreter
from tests.support.programs import finish, start
from tests.support.sink import Sink

SERVERS = ("gunicorn>=23", "opentelemetry-distro")
COMMIT, NAME, TYPE = "mlflow.source.git.commit", "mlflow.source.name", "mlflow.source.type"


WEB = """
import os
from opentelemetry import trace
from spanhouse.processor import configure, set_active_model, update_current_trace
configure()
set_active_model(name="agent", params={"temperature": 0.5, "api_key": "s3cr3t"})

def app(environ, start_response):
    with trace.get_tracer("t").start_as_current_span(environ["PATH_INFO"], attributes={"pid": os.getpid()}):
        update_current_trace(metadata={"path": environ["PATH_INFO"]})
    start_response("200 OK", [("content-type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_preloaded_workers_of_gunicorn_send_every_span_once_with_their_own_process_id(checkout: Checkout, sink: Sink, protocol: str) -> None:
    checkout.write("src/shop/__init__.py", "")
    checkout.write("src/shop/web.py", WEB)
    commit = checkout.commit()
    port = sink.grpc_port if protocol == "grpc" else sink.http_port
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "spanhouse,process,otel",
    }
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [interpreter("servers", *SERVERS), "-m", "gunicorn", "--preload", "--chdir", "src", "-w", "2", "-b", f"fd://{listener.fileno()}"]
        server = start([*command, "shop.web:app"], cwd=checkout.root, environ=environ, pass_fds=[listener.fileno()])
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        answers: dict[str, int] = {}
        deadline = time.monotonic() + 60
        while len(set(answers.values())) < 2 and time.monotonic() < deadline:
            path = f"/{len(answers)}"
            with urllib.request.urlopen(address + path, timeout=30) as response:  # noqa: S310  the address is our own
                answers[path] = int(response.read())
        server.send_signal(signal.SIGTERM)
        finish(server)
    assert len(set(answers.values())) == 2
    seen: dict[str, list[int]] = {}
    for request in sink.requests:
        for part in request.resource_spans:
            values = {pair.key: pair.value for pair in part.resource.attributes}
            assert values[NAME].string_value == "shop.web:app"
            assert values[COMMIT].string_value == commit
            assert values["mlflow.model.name"].string_value == "agent"
            assert values["mlflow.model.params.temperature"].string_value == "0.5"
            for span in (span for scope in part.scope_spans for span in scope.spans):
                assert {pair.key: pair.value.string_value for pair in span.attributes}["mlflow.traceMetadata.path"] == span.name
                seen.setdefault(span.name, []).append(values["process.pid"].int_value)
    assert seen == {path: [pid] for path, pid in answers.items()}
    assert "s3cr3t" not in str(sink.requests)


PREFORK = """
import os, sys
from opentelemetry import trace
from spanhouse.processor import configure, set_active_model, update_current_trace
provider = configure()
tracer = trace.get_tracer("t")
with tracer.start_as_current_span("before"):
    pass
with tracer.start_as_current_span("around"):
    children = []
    for number in range(3):
        child = os.fork()
        if child == 0:
            set_active_model(model_id=f"m-{number}")
            with tracer.start_as_current_span(f"task {number}", context=trace.set_span_in_context(trace.INVALID_SPAN)):
                update_current_trace(metadata={"task": number})
            provider.shutdown()
            os._exit(0)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
sys.exit(max(codes))
"""


def test_workers_that_are_forked_amid_a_trace_lose_and_double_nothing(checkout: Checkout, sink: Sink) -> None:
    checkout.write("app.py", PREFORK)
    commit = checkout.commit()
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink.http_port}", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    finish(start([sys.executable, "app.py"], cwd=checkout.root, environ=environ))
    spans = sorted((name, resource[COMMIT], resource.get("mlflow.modelId"), own) for name, resource, own in sink.spans())
    tasks = [(f"task {number}", commit, f"m-{number}", {"mlflow.traceMetadata.task": str(number)}) for number in range(3)]
    assert spans == [("around", commit, None, {}), ("before", commit, None, {}), *tasks]


PLAIN = "from opentelemetry import trace\nwith trace.get_tracer('t').start_as_current_span('span'):\n    pass\n"


@pytest.mark.parametrize("arguments", [["src/app.py"], ["-m", "src.app"]])
@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_TRACES_EXPORTER": "spanhouse"},
        {"OTEL_TRACES_EXPORTER": "otlp_proto_grpc", "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "spanhouse,otel"},
    ],
)
def test_an_app_without_a_line_of_ours_is_stamped_by_variables_alone(
    checkout: Checkout, sink: Sink, arguments: list[str], variables: dict[str, str]
) -> None:
    checkout.write("src/app.py", PLAIN)
    commit = checkout.commit()
    python = interpreter("servers", *SERVERS)
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink.grpc_port}",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*",
        "MLFLOW_ACTIVE_MODEL_ID": "m-1",
        **variables,
    }
    finish(start([str(Path(python).parent / "opentelemetry-instrument"), python, *arguments], cwd=checkout.root, environ=environ))
    resource = sink.resource()
    assert (resource[COMMIT], resource["mlflow.modelId"]) == (commit, "m-1")
    assert resource[NAME] == ("src.app" if "-m" in arguments else "src/app.py")


KERNEL = """
import json, os, sys
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="python3")
printed, failed = [], []
def take(message):
    if message["msg_type"] == "stream":
        printed.append(message["content"]["text"])
    if message["msg_type"] == "error":
        failed.append(message["content"]["evalue"])
client.execute_interactive(sys.argv[1], timeout=60, output_hook=take)
client.stop_channels()
manager.shutdown_kernel(now=True)
assert not failed, failed
print("".join(printed))
"""
CELL = """
import json
from spanhouse.processor import configure
print(json.dumps(dict(configure(export=False).resource.attributes)))
"""


@pytest.mark.parametrize(
    ("setup", "variables", "name"),
    [
        ("", {"JPY_SESSION_NAME": "{root}/report.ipynb"}, "report.ipynb"),
        ("__vsc_ipynb_file__ = '{root}/model.ipynb'", {}, "model.ipynb"),
        ("", {"SPANHOUSE_SOURCE_NAME": "mine"}, "mine"),
        ("", {}, None),
    ],
)
def test_a_kernel_of_jupyter_is_a_notebook(checkout: Checkout, setup: str, variables: dict[str, str], name: str | None) -> None:
    commit = checkout.commit("data.csv")
    python = interpreter("kernel", "ipykernel>=6", "jupyter-client>=8")
    environ = {"IPYTHONDIR": str(checkout.root.parent / "ipython"), "JUPYTER_RUNTIME_DIR": str(checkout.root.parent / "runtime")}
    environ |= {key: value.format(root=checkout.root) for key, value in variables.items()}
    output = finish(start([python, "-c", KERNEL, setup.format(root=checkout.root) + CELL], cwd=checkout.root, environ=environ))
    attributes = json.loads(output)
    assert (attributes.get(NAME), attributes[TYPE], attributes[COMMIT]) == (name, "NOTEBOOK", commit)


def test_ipython_at_a_terminal_is_a_session_in_the_current_directory(checkout: Checkout) -> None:
    commit = checkout.commit("data.csv")
    python = interpreter("kernel", "ipykernel>=6", "jupyter-client>=8")
    environ = {"IPYTHONDIR": str(checkout.root.parent / "ipython")}
    output = finish(start([python, "-m", "IPython", "--colors=NoColor", "-c", CELL], cwd=checkout.root, environ=environ))
    attributes = json.loads(output)
    assert (attributes.get(NAME), attributes[TYPE], attributes[COMMIT]) == (None, "LOCAL", commit)


CALLEE = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from opentelemetry import propagate, trace
from spanhouse.processor import configure, trace_context
provider = configure()
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        with trace.get_tracer("t").start_as_current_span(self.path, context=propagate.extract(self.headers)):
            with trace.get_tracer("t").start_as_current_span("inner"):
                self.send_response(204)
                self.end_headers()
    def log_message(self, *_): pass
server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
for _ in range(3):
    server.handle_request()
provider.shutdown()
"""
CALLER = """
import sys, urllib.request
from opentelemetry import propagate, trace
from spanhouse.processor import configure, trace_context
configure(propagate=("session_id", "user", "tenant", "long"))
def call(path, extra=()):
    with trace.get_tracer("t").start_as_current_span("caller"):
        headers = {}
        propagate.inject(headers)
        urllib.request.urlopen(urllib.request.Request(sys.argv[1] + path, headers=headers | dict(extra)))
        return headers.get("baggage", "")
with trace_context(session_id="s-1", user="ada lovelace", metadata={"tenant": "acme", "internal": "no", "long": "x" * 300}):
    with trace_context(metadata={"tenant": "ümlaut"}):
        print(call("/first"))
    print(call("/second"))
print(call("/third"))
"""


@pytest.mark.parametrize("accepted", ["session_id,user,tenant,long", "tenant", ""])
def test_what_a_caller_propagates_reaches_the_traces_of_a_service_that_accepts_it(checkout: Checkout, sink: Sink, accepted: str) -> None:
    checkout.write("callee.py", CALLEE)
    checkout.write("caller.py", CALLER)
    exporting = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink.grpc_port}"}
    callee = start([sys.executable, "callee.py"], cwd=checkout.root, environ=exporting | {"SPANHOUSE_PROPAGATE": accepted})
    assert callee.stdout is not None
    address = f"http://127.0.0.1:{callee.stdout.readline().strip()}"
    sent = finish(start([sys.executable, "caller.py", address], cwd=checkout.root, environ=exporting)).splitlines()
    finish(callee)
    assert "internal" not in str(sent)
    assert "xxx" not in str(sent)
    assert sent[2] == ""
    spans = {name: own for name, _, own in sink.spans() if name != "caller"}
    assert spans["inner"] == spans["/third"] == {}
    prefix = "mlflow.traceMetadata."
    session = {"session.id": "s-1", f"{prefix}mlflow.trace.session": "s-1", "user.id": "ada lovelace", f"{prefix}mlflow.trace.user": "ada lovelace"}
    common = session if "user" in accepted else {}
    tenants = [{f"{prefix}tenant": tenant} if "tenant" in accepted else {} for tenant in ("ümlaut", "acme")]
    assert [spans["/first"], spans["/second"]] == [common | tenant for tenant in tenants]


MODELS = """
import sys, warnings
warnings.simplefilter("ignore")
import mlflow
from spanhouse.processor import set_active_model
mlflow.set_tracking_uri(sys.argv[1])
alone = set_active_model(name="agent")
theirs = mlflow.set_active_model(name="agent").model_id
assert alone != theirs and set_active_model(name="agent") == theirs, (alone, theirs)
assert set_active_model(model_id="m-mine") == "m-mine"
"""


def test_the_model_that_code_made_active_in_mlflow_keeps_its_id(checkout: Checkout) -> None:
    python = interpreter("mlflow", "mlflow-skinny>=3.10")
    store = (checkout.root.parent / "mlruns").as_uri()
    environ = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
    finish(start([python, "-c", MODELS, store], cwd=checkout.root, environ=environ))


def test_a_frozen_app_is_called_by_its_executable(checkout: Checkout) -> None:
    commit = checkout.commit("app")
    program = checkout.root / "dist" / "shop"
    code = f"import sys; sys.frozen = True; sys.executable = {str(program)!r}; import json\n" + CELL
    attributes = json.loads(finish(start([sys.executable, "-c", code], cwd=checkout.root)))
    assert (attributes[NAME], attributes[COMMIT]) == ("dist/shop", commit)


@pytest.mark.parametrize(
    ("variables", "name", "type_"),
    [
        ({"DATABRICKS_RUNTIME_VERSION": "17.0", "DATABRICKS_JOB_ID": "7", "DATABRICKS_JOB_RUN_ID": "8"}, "jobs/7/run/8", "JOB"),
        ({"DATABRICKS_RUNTIME_VERSION": "17.0", "DATABRICKS_NOTEBOOK_PATH": "/Users/ada/report"}, "/Users/ada/report", "NOTEBOOK"),
        ({"DATABRICKS_JOB_ID": "7", "DATABRICKS_RUN_ID": "8"}, "app.py", "LOCAL"),
        ({"AWS_LAMBDA_FUNCTION_NAME": "f", "_HANDLER": "shop/web.handler", "LAMBDA_TASK_ROOT": "."}, "shop/web.handler", "LOCAL"),
        ({"AWS_LAMBDA_FUNCTION_NAME": "f"}, "f", "LOCAL"),
        ({"AWS_BATCH_JOB_ID": "1"}, "app.py", "JOB"),
        ({"AWS_LAMBDA_FUNCTION_NAME": "f", "SPANHOUSE_SOURCE_NAME": "mine", "SPANHOUSE_SOURCE_TYPE": "canary"}, "mine", "canary"),
    ],
)
def test_platforms_that_start_the_app_name_it(checkout: Checkout, variables: dict[str, str], name: str, type_: str) -> None:
    checkout.write("app.py", CELL)
    attributes = json.loads(finish(start([sys.executable, "app.py"], cwd=checkout.root, environ=variables)))
    assert (attributes[NAME], attributes[TYPE]) == (name, type_)


def test_a_function_of_lambda_is_stamped_by_the_file_in_its_package(tmp_path: Path) -> None:
    task = tmp_path / "task"
    (task / "shop").mkdir(parents=True)
    (task / "shop" / "web.py").touch()
    (task / "spanhouse-stamp.json").write_text(json.dumps({COMMIT: "c" * 40}))
    (tmp_path / "bootstrap.py").write_text(CELL)
    environ = {"AWS_LAMBDA_FUNCTION_NAME": "f", "_HANDLER": "shop.web.handler", "LAMBDA_TASK_ROOT": str(task)}
    attributes = json.loads(finish(start([sys.executable, str(tmp_path / "bootstrap.py")], cwd=Path(os.sep), environ=environ)))
    assert (attributes[NAME], attributes[COMMIT]) == ("shop.web.handler", "c" * 40)
