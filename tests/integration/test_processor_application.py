"""Real applications: scripts in real repositories that export over real OTLP, and what arrives."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.support.checkout import Checkout
from tests.support.sink import Sink

ROOT = "mlflow.source."
ONE_SPAN = "from opentelemetry import trace\nwith trace.get_tracer('t').start_as_current_span('span'):\n    pass\n"


@pytest.fixture
def checkout(checkout: Checkout) -> Checkout:
    checkout.git("remote", "add", "origin", "https://x-access-token:s3cr3t@github.com/acme/shop.git")
    return checkout


def run(checkout: Checkout, *arguments: str, cwd: Path | None = None, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the interpreter as a user would, without the variables of this machine."""
    variables = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "PYTHONPYCACHEPREFIX"}}
    variables |= {"PYTHONWARNINGS": "error", "PYTHONDONTWRITEBYTECODE": "1", "USER": "ada", **(environ or {})}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd or checkout.root, env=variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_spans_over_grpc_carry_everything_as_resource_attributes(checkout: Checkout, sink: Sink) -> None:
    code = "from spanhouse.processor import configure\n"
    code += f"configure(endpoint='http://127.0.0.1:{sink.grpc_port}', headers={{'X-Team': 'a'}}, service_name='shop')\n"
    checkout.write("src/app.py", code + ONE_SPAN)
    commit = checkout.commit()
    run(checkout, "src/app.py", environ={"MLFLOW_ACTIVE_MODEL_ID": "m-1"})
    resource = sink.resource()
    assert {key: value for key, value in resource.items() if not key.startswith(("telemetry.", "service.instance"))} == {
        "service.name": "shop",
        "mlflow.source.name": "src/app.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": commit,
        "mlflow.source.git.branch": "main",
        "mlflow.source.git.repoURL": "https://github.com/acme/shop.git",
        "mlflow.source.git.dirty": "false",
        "mlflow.modelId": "m-1",
        "mlflow.user": "ada",
        "vcs.ref.head.revision": commit,
        "vcs.ref.head.name": "main",
        "vcs.ref.head.type": "branch",
        "vcs.repository.url.full": "https://github.com/acme/shop",
    }
    assert sink.headers[0]["x-team"] == "a"
    assert "s3cr3t" not in str(sink.requests)


def test_http_protobuf_is_spoken_where_the_environment_asks_for_it(checkout: Checkout, sink: Sink) -> None:
    checkout.write("app.py", "from spanhouse.processor import configure\nconfigure()\n" + ONE_SPAN)
    checkout.commit()
    checkout.write("app.py", "from spanhouse.processor import configure\nconfigure()\n\n" + ONE_SPAN)
    variables = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink.http_port}"}
    run(checkout, "app.py", environ=variables)
    assert sink.resource()["mlflow.source.git.dirty"] == "true"
    assert sink.paths == ["/v1/traces"]


@pytest.mark.parametrize(
    ("variables", "spoken"),
    [
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:{http}/v1/traces"}, "http"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:{http}/v1/traces/"},
            "http",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:{grpc}"}, "grpc"),
    ],
)
def test_an_address_that_can_only_be_one_protocols_needs_no_other_variable(
    checkout: Checkout, sink: Sink, variables: dict[str, str], spoken: str
) -> None:
    environ = {name: value.format(http=sink.http_port, grpc=sink.grpc_port) for name, value in variables.items()}
    run(checkout, "-c", "from spanhouse.processor import configure\nconfigure()\n" + ONE_SPAN, environ=environ)
    assert len(sink.spans()) == 1
    assert bool(sink.paths) is (spoken == "http")


@pytest.mark.parametrize("tail", ["", "/", "/v1/traces", "/base/v1/traces"])
def test_an_http_endpoint_without_a_path_gets_the_usual_one(checkout: Checkout, sink: Sink, tail: str) -> None:
    call = f"configure(endpoint='127.0.0.1:{sink.http_port}{tail}', protocol='http/protobuf')\n"
    run(checkout, "-c", "from spanhouse.processor import configure\n" + call + ONE_SPAN)
    assert sink.paths == [tail if len(tail) > 1 else "/v1/traces"]


def test_two_calls_of_configure_send_every_span_once(checkout: Checkout, sink: Sink) -> None:
    call = f"configure(endpoint='http://127.0.0.1:{sink.grpc_port}', metadata={{'team': 'search'}})\n"
    run(checkout, "-c", "from spanhouse.processor import configure\n" + call + call + "configure(source_type='canary')\n" + ONE_SPAN)
    resource = sink.resource()
    assert (resource["team"], resource["mlflow.source.type"]) == ("search", "canary")


EXISTING = """
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from spanhouse.processor import MetadataSpanExporter, configure
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor({exporter}))
trace.set_tracer_provider(provider)
assert configure({arguments}) is provider
"""


def test_an_existing_provider_sends_nothing_twice_and_carries_the_keys_on_local_roots(checkout: Checkout, sink: Sink) -> None:
    checkout.write("app.py", EXISTING.format(exporter="OTLPSpanExporter()", arguments="") + ONE_SPAN)
    commit = checkout.commit()
    run(checkout, "app.py", environ={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink.grpc_port}"})
    ((_, resource, attributes),) = sink.spans()
    assert "mlflow.source.git.commit" not in resource
    assert attributes["mlflow.source.git.commit"] == attributes["vcs.ref.head.revision"] == commit
    assert attributes["mlflow.source.name"] == "app.py"


def test_an_existing_provider_with_the_detector_carries_the_keys_on_its_resource_only(checkout: Checkout, sink: Sink) -> None:
    checkout.write("app.py", EXISTING.format(exporter="OTLPSpanExporter()", arguments="") + ONE_SPAN)
    commit = checkout.commit()
    run(
        checkout,
        "app.py",
        environ={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink.grpc_port}", "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "spanhouse,otel"},
    )
    ((_, resource, attributes),) = sink.spans()
    assert resource["mlflow.source.git.commit"] == commit
    assert attributes == {}


def test_an_existing_provider_with_the_exporter_wrapper_carries_the_keys_on_the_resource_only(checkout: Checkout, sink: Sink) -> None:
    checkout.write("app.py", EXISTING.format(exporter="MetadataSpanExporter(OTLPSpanExporter())", arguments="metadata={'team': 'a'}") + ONE_SPAN)
    commit = checkout.commit()
    run(checkout, "app.py", environ={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink.grpc_port}"})
    ((_, resource, attributes),) = sink.spans()
    assert (resource["mlflow.source.git.commit"], resource["team"]) == (commit, "a")
    assert attributes == {}


def test_an_exporter_that_is_named_in_the_environment_only_needs_no_arguments(checkout: Checkout, sink: Sink) -> None:
    code = "from spanhouse.processor.otlp import OtlpMetadataSpanExporter\n"
    checkout.write("app.py", code + EXISTING.format(exporter="OtlpMetadataSpanExporter()", arguments="") + ONE_SPAN)
    commit = checkout.commit()
    run(checkout, "app.py", environ={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink.grpc_port}"})
    assert sink.resource()["mlflow.source.git.commit"] == commit


def test_an_existing_provider_exports_only_when_asked(checkout: Checkout, sink: Sink) -> None:
    code = "from opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\nfrom spanhouse.processor import configure\n"
    code += "provider = TracerProvider()\ntrace.set_tracer_provider(provider)\nconfigure({})\n" + ONE_SPAN
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink.grpc_port}"}
    run(checkout, "-c", code.format(""), environ=variables)
    assert sink.spans() == []
    run(checkout, "-c", code.format("export=True"), environ=variables)
    assert sink.resource()["mlflow.source.type"] == "LOCAL"


@pytest.mark.parametrize("variables", [{"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_SDK_DISABLED": "true"}])
def test_exporting_can_be_switched_off_from_outside(checkout: Checkout, sink: Sink, variables: dict[str, str]) -> None:
    code = "import sys\nfrom spanhouse.processor import configure\nconfigure()\n" + ONE_SPAN + "assert 'grpc' not in sys.modules"
    run(checkout, "-c", code, environ={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink.grpc_port}"} | variables)
    assert sink.spans() == []


def test_variables_rank_as_documented(checkout: Checkout, sink: Sink) -> None:
    checkout.write(
        "app.py",
        f"from spanhouse.processor import configure\nconfigure(endpoint='http://127.0.0.1:{sink.grpc_port}', source_name='arg')\n" + ONE_SPAN,
    )
    commit = checkout.commit()
    variables = {
        "OTEL_RESOURCE_ATTRIBUTES": "vcs.ref.head.name=from-otel,deployment.environment.name=production,mlflow.source.name=otel",
        "OTEL_SERVICE_NAME": "shop",
        "SPANHOUSE_SOURCE_NAME": "variable",
        "SPANHOUSE_SOURCE_TYPE": "staging",
        "SPANHOUSE_GIT_BRANCH": "variable",
        "SPANHOUSE_GIT_REPO_URL": "git@gitlab.com:acme/shop.git",
        "SPANHOUSE_METADATA": '{"team": "search", "vcs.ref.head.revision": ""}',
        "SPANHOUSE_USER": "off",
    }
    run(checkout, "app.py", environ=variables)
    resource = sink.resource()
    assert resource["service.name"] == "shop"
    assert resource["mlflow.source.name"] == "arg"
    assert resource["mlflow.source.type"] == "production"
    assert resource["mlflow.source.git.branch"] == resource["vcs.ref.head.name"] == "from-otel"
    assert resource["mlflow.source.git.commit"] == commit
    assert resource["mlflow.source.git.repoURL"] == "git@gitlab.com:acme/shop.git"
    assert resource["vcs.repository.url.full"] == "https://gitlab.com/acme/shop"
    assert resource["team"] == "search"
    assert "mlflow.user" not in resource


def test_a_detached_head_gets_its_branch_from_the_ci_job_and_its_commit_from_disk(checkout: Checkout, sink: Sink) -> None:
    checkout.write("app.py", f"from spanhouse.processor import configure\nconfigure(endpoint='http://127.0.0.1:{sink.grpc_port}')\n" + ONE_SPAN)
    commit = checkout.commit()
    checkout.git("checkout", "--quiet", "--detach")
    run(checkout, "app.py", environ={"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_SHA": "f" * 40, "GITHUB_REF_NAME": "topic"})
    resource = sink.resource()
    assert (resource["mlflow.source.git.commit"], resource["mlflow.source.git.branch"]) == (commit, "topic")


def test_the_repository_is_that_of_the_script_and_not_of_the_current_directory(checkout: Checkout, sink: Sink, tmp_path: Path) -> None:
    checkout.write("app.py", f"from spanhouse.processor import configure\nconfigure(endpoint='http://127.0.0.1:{sink.grpc_port}')\n" + ONE_SPAN)
    commit = checkout.commit()
    other = Checkout(tmp_path / "other")
    other.commit("a")
    run(checkout, str(checkout.root / "app.py"), cwd=other.root)
    assert sink.resource()["mlflow.source.git.commit"] == commit


SERVED = """
async def app(scope, receive, send):
    import os
    trace.get_tracer_provider().shutdown()
    os._exit(0)
"""


def test_a_module_and_a_server_are_named_as_they_are_started(checkout: Checkout, sink: Sink) -> None:
    setup = f"from spanhouse.processor import configure\nconfigure(endpoint='http://127.0.0.1:{sink.grpc_port}')\n"
    checkout.write("shop/__init__.py", "")
    checkout.write("shop/web.py", setup + ONE_SPAN + SERVED)
    commit = checkout.commit()
    run(checkout, "-m", "shop.web")
    assert sink.resource()["mlflow.source.name"] == "shop.web"
    sink.requests.clear()
    run(checkout, "-m", "uvicorn", "shop.web:app", "--port", "0", "--lifespan", "on")
    resource = sink.resource()
    assert (resource["mlflow.source.name"], resource["mlflow.source.git.commit"]) == ("shop.web:app", commit)


def test_code_from_the_command_line_has_no_name(checkout: Checkout, sink: Sink) -> None:
    run(checkout, "-c", f"from spanhouse.processor import configure\nconfigure(endpoint='http://127.0.0.1:{sink.grpc_port}')\n" + ONE_SPAN)
    assert "mlflow.source.name" not in sink.resource()


def test_workers_of_multiprocessing_are_named_like_their_parent(checkout: Checkout, sink: Sink) -> None:
    code = f"""
import multiprocessing
from opentelemetry import trace
from spanhouse.processor import configure

def work() -> None:
    configure(endpoint='http://127.0.0.1:{sink.grpc_port}')
    with trace.get_tracer('t').start_as_current_span('span'):
        pass
    trace.get_tracer_provider().shutdown()

if __name__ == "__main__":
    worker = multiprocessing.get_context("spawn").Process(target=work)
    worker.start()
    worker.join()
"""
    checkout.write("jobs/app.py", code)
    commit = checkout.commit()
    run(checkout, "jobs/app.py")
    resource = sink.resource()
    assert (resource["mlflow.source.name"], resource["mlflow.source.git.commit"]) == ("jobs/app.py", commit)


def test_a_wrong_protocol_is_one_warning_and_grpc(checkout: Checkout, sink: Sink) -> None:
    call = f"configure(endpoint='http://127.0.0.1:{sink.grpc_port}', protocol='carrier-pigeon')\n"
    done = run(checkout, "-c", "from spanhouse.processor import configure\n" + call + ONE_SPAN)
    assert "protocol='carrier-pigeon' is left out" in done.stderr
    assert len(sink.spans()) == 1


HOSTILE = """
import logging
logging.disable(logging.CRITICAL)
from spanhouse.processor import configure, set_active_model, trace_context, update_current_trace
from opentelemetry import trace
class Bad:
    def __str__(self): raise RuntimeError
configure(metadata=7, source_name=Bad(), source_type=[1], export=False, headers=3, protocol=5)
configure(tracer_provider=object())
set_active_model(name=Bad(), params=3)
with trace_context(metadata=Bad(), session_id=Bad()), trace.get_tracer('t').start_as_current_span('s'):
    update_current_trace(tags=Bad(), state=Bad(), user=Bad())
"""


def test_nothing_that_an_application_passes_raises(checkout: Checkout) -> None:
    run(checkout, "-c", HOSTILE)


def test_importing_loads_the_sdk_and_nothing_heavier(checkout: Checkout) -> None:
    code = "import sys, spanhouse.processor as p\nprint(*sorted(sys.modules))\nprint(*sorted(p.__all__))"
    modules, public = (line.split() for line in run(checkout, "-c", code).stdout.splitlines())
    roots = {module.partition(".")[0] for module in modules}
    assert roots.isdisjoint({"grpc", "google", "numpy", "pandas", "chdb", "clickhouse_connect", "mlflow", "requests"})
    assert not [module for module in modules if module.startswith(("opentelemetry.exporter", "opentelemetry.proto"))]
    assert not [
        module for module in modules if module.startswith("spanhouse.") and not module.startswith(("spanhouse.processor", "spanhouse.schema"))
    ]
    assert public == [
        "MetadataResourceDetector",
        "MetadataSpanExporter",
        "MetadataSpanProcessor",
        "configure",
        "set_active_model",
        "trace_context",
        "update_current_trace",
    ]


def test_stamping_starts_no_process_and_writes_nothing(checkout: Checkout) -> None:
    code = "import subprocess, sys\nsys.addaudithook(lambda event, _: event in {'subprocess.Popen', 'os.system', 'os.posix_spawn'} and sys.exit(3))\n"
    code += "from spanhouse.processor import configure\nprovider = configure(export=False)\n"
    code += "print(provider.resource.attributes['mlflow.source.git.commit'])\n"
    checkout.write("app.py", code)
    commit = checkout.commit()
    before = {path: path.stat().st_mtime_ns for path in (checkout.root / ".git").rglob("*")}
    assert run(checkout, "app.py").stdout.strip() == commit
    assert {path: path.stat().st_mtime_ns for path in (checkout.root / ".git").rglob("*")} == before


def test_a_repository_with_reftables_is_read_by_the_git_executable(checkout: Checkout, tmp_path: Path) -> None:
    checkout.write(
        "app.py", "from spanhouse.processor import configure\nprint(configure(export=False).resource.attributes.get('mlflow.source.git.commit'))\n"
    )
    checkout.commit()
    checkout.git("config", "extensions.refStorage", "reftable")
    commands = tmp_path / "bin"
    commands.mkdir()
    git = commands / "git"
    git.write_text(f'#!/bin/sh\ncase "$*" in *fsmonitor=false*rev-parse*) echo {"e" * 40};; *symbolic-ref*) echo refs/heads/main;; esac\n')
    git.chmod(0o755)
    assert run(checkout, "app.py", environ={"PATH": f"{commands}:{os.environ['PATH']}"}).stdout.strip() == "e" * 40
