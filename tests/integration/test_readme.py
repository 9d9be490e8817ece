"""What the README says can be pasted: its blocks run, in order, against a real server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest
from tests.support.certificates import Authority
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.otlp import trace
from tests.support.serve import Serve

from spanhouse.query import TraceClient

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def blocks(language: str, containing: str) -> list[str]:
    found = [text for kind, text in BLOCKS if kind == language and containing in text]
    assert found, f"the README has no {language} block with {containing!r}"
    return found


class Reader:
    """Pastes blocks as a user would, with the server's real addresses for the default ones."""

    def __init__(self, serve: Serve, directory: Path) -> None:
        self.serve = serve
        self.directory = directory
        scripts = sysconfig.get_path("scripts")
        self.env = {
            **serve.env,
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{serve.grpc}",
            "PYTHONWARNINGS": "error",
        }

    def _addressed(self, text: str) -> str:
        host, port = self.serve.clickhouse_http.split(":")
        text = text.replace("127.0.0.1:8080", self.serve.console)
        return text.replace("127.0.0.1:8123", self.serve.clickhouse_http).replace('host="127.0.0.1", port=8123', f'host="{host}", port={port}')

    def run(self, command: list[str]) -> str:
        done = subprocess.run(command, env=self.env, cwd=self.directory, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(self, text: str) -> str:
        script = self.directory / "app.py"
        script.write_text(self._addressed(text))
        said = self.run([sys.executable, str(script)])
        self.serve.drained()
        return said

    def shell(self, text: str) -> str:
        return self.run(["bash", "-euc", self._addressed(text)])


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> object:
    directory = tmp_path_factory.mktemp("readme")
    with Serve(directory / "data") as serve:
        yield Reader(serve, directory)


def test_the_two_commands_stand_at_the_top() -> None:
    assert re.search(r"```sh\nmake demo .*\nmake test ", README)


def test_the_stamped_application_is_found_by_each_way_of_asking(reader: Reader) -> None:
    (app,) = blocks("python", "configure(")
    reader.python(app)
    for ask in blocks("sh", "spanhouse search"):
        shown = reader.shell(ask)
        assert "answer" in shown
        assert "1.0.0" in shown
        assert '"my order"' not in shown
    (loop,) = blocks("python", "TraceClient()")
    assert reader.python(loop).splitlines() == ["1.0.0 1 0", "1.1.0 0 0"]
    edit, query = blocks("sh", "curl")
    assert "verdict" in reader.shell(edit)
    assert "answer" in reader.shell(query)
    (frame,) = blocks("python", "query_df")
    assert "answer" in reader.python(frame)


def test_the_stamped_application_carries_what_the_table_says(reader: Reader) -> None:
    client = TraceClient(reader.serve.dsn)
    traces = client.search_traces(filter_string="metadata.`service.name` = 'support-bot'")
    metadata = traces[0].info.trace_metadata
    assert metadata["mlflow.source.name"] == "app.py"
    assert metadata["mlflow.source.type"] == "production"
    assert (traces[0].info.tags["team"], metadata["mlflow.trace.session"], metadata["mlflow.trace.user"]) == ("support", "s-1", "u-1")


SDK_AS_CONFIGURED = """
from opentelemetry import trace
from opentelemetry.sdk._configuration import _OTelSDKConfigurator
_OTelSDKConfigurator().configure()
with trace.get_tracer("tests").start_as_current_span("by variables"):
    pass
"""


def test_the_variables_for_other_services_reach_the_server_whatever_an_sdk_speaks_by_default(reader: Reader) -> None:
    (text,) = blocks("sh", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1")
    (reader.directory / "other_service.py").write_text(SDK_AS_CONFIGURED)
    # As OpenTelemetry's distribution for Python sets them.
    defaults = "export OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=grpc\n"
    reader.shell(f"{defaults}{text}exec {sys.executable} other_service.py".replace("127.0.0.1:4318", reader.serve.http))
    deadline = time.monotonic() + 30
    client = TraceClient(reader.serve.dsn)
    while not client.count("name = 'by variables'"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_resource_detector_is_found_by_the_variable_alone(reader: Reader) -> None:
    script = "from opentelemetry.sdk.trace import TracerProvider; print(dict(TracerProvider().resource.attributes))"
    app = reader.directory / "zero_code.py"
    app.write_text(script)
    reader.env["OTEL_EXPERIMENTAL_RESOURCE_DETECTORS"] = "spanhouse,otel"
    try:
        assert "'mlflow.source.name': 'zero_code.py'" in reader.run([sys.executable, str(app)])
    finally:
        del reader.env["OTEL_EXPERIMENTAL_RESOURCE_DETECTORS"]


def test_a_clickhouse_server_is_migrated_and_served_as_written(tmp_path_factory: pytest.TempPathFactory, reader: Reader) -> None:
    (text,) = blocks("sh", "spanhouse migrate")
    migrate, serve = text.strip().splitlines()
    assert serve.startswith("spanhouse serve --store ")
    with ClickHouseServer(tmp_path_factory.mktemp("server") / "store") as server:
        address = re.compile(r"http://user:password@clickhouse:8123/spanhouse")
        reader.shell(address.sub(server.dsn, migrate))
        dsn = address.sub(server.dsn, serve.removeprefix("spanhouse serve --store "))
        with Serve(tmp_path_factory.mktemp("data"), "--store", dsn) as running:
            assert running.clickhouse_http == "off"
            import http.client

            connection = http.client.HTTPConnection(running.http)
            connection.request("POST", "/v1/traces", trace(name="on a server").SerializeToString(), {"content-type": "application/x-protobuf"})
            assert connection.getresponse().status == 200
            connection.close()
            running.spool = running.data_dir / "spool"
            running.drained()
            with TraceClient(dsn) as client:
                deadline = time.monotonic() + 60
                while not (found := client.search_traces(filter_string="name = 'on a server'")) and time.monotonic() < deadline:
                    time.sleep(0.1)
            assert [trace.info.state for trace in found] == ["OK"]


def test_a_token_is_made_and_taken_over_tls_as_written(reader: Reader, tmp_path: Path) -> None:
    (make,) = blocks("sh", "secrets.token_urlsafe")
    token, line = reader.shell(make).splitlines()
    (tmp_path / "tokens").write_text(line)
    authority = Authority(tmp_path)
    chain, key = authority.issue("server")
    (text,) = blocks("sh", "--tls-cert")
    files = {"tokens": str(tmp_path / "tokens"), "server.pem": str(chain), "server.key": str(key)}
    options = [files.get(word, word) for word in text.split()[2:]]
    options = [re.sub(r"0\.0\.0\.0:\d+", "127.0.0.1:0", word) for word in options]
    with Serve(tmp_path / "data", *options) as serve:
        (variables,) = blocks("sh", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
        send = """
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
span = TracerProvider().get_tracer("tests").start_span("sent")
span.end()
print(OTLPSpanExporter().export([span]).name)
"""
        (tmp_path / "send.py").write_text(send)
        variables = variables.replace("traces.example.com:4318", serve.http).replace("TOKEN", token).strip()
        # A machine's own bundle would outrank the certificate that the exporter is given.
        variables += f" OTEL_EXPORTER_OTLP_CERTIFICATE={authority.file}\nunset REQUESTS_CA_BUNDLE CURL_CA_BUNDLE"
        variables += f"\n{sys.executable} {tmp_path / 'send.py'}"
        assert reader.shell(variables) == "SUCCESS\n"


@pytest.mark.parametrize("verb", ["serve", "demo", "search", "trace", "sql", "explain", "keys", "values", "migrate", "metadata", "doctor"])
def test_every_verb_stands_in_the_readme(verb: str) -> None:
    assert f"spanhouse {verb}" in README or f"make {verb}" in README


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)h][^)]*)\)", README))
def test_links_lead_somewhere(link: str) -> None:
    assert (Path(__file__).parents[2] / link).exists()
