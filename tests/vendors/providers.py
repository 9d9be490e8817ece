"""Tracer providers of real packages: their own destination and ours get every span, with the process's metadata.

Run by ``make test-vendors``; ``make test`` leaves them out, since each package needs an environment of its own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.checkout import Checkout
from tests.support.environment import interpreter
from tests.support.programs import finish, start
from tests.support.sink import Sink

COMMIT, TYPE = "mlflow.source.git.commit", "mlflow.source.type"
PINNED = tomllib.loads((Path(__file__).parent / "pinned.toml").read_text(encoding="utf-8"))
SPANS = {f"{name} {number}" for name in ("request", "chat") for number in range(3)}
PHOENIX = """
from phoenix.otel import register
provider = register(endpoint="http://127.0.0.1:{own}/v1/traces", protocol="http/protobuf", batch={batch}, verbose=False)
"""
# Over gRPC, since arize-otel does not start over HTTP with this SDK (its exporter has no _headers there).
ARIZE = """
from arize.otel import Transport, register
settings = dict(space_id="s", api_key="k", project_name="p", endpoint="http://127.0.0.1:{own_grpc}", transport=Transport.GRPC, verbose=False)
provider = register(batch={batch}, **settings)
"""
ARIZE_DEFAULT = """
from arize.otel import TracerProvider, Transport
from opentelemetry import trace
settings = dict(space_id="s", api_key="k", project_name="p", endpoint="http://127.0.0.1:{own_grpc}", transport=Transport.GRPC, verbose=False)
provider = TracerProvider(**settings)
trace.set_tracer_provider(provider)
"""
LOGFIRE = """
import logfire
from opentelemetry import trace
settings = dict(token="t", console=False, metrics=False, inspect_arguments=False, environment="production")
settings["advanced"] = logfire.AdvancedOptions(base_url="http://127.0.0.1:{own}")
logfire.configure(**settings)
provider = trace.get_tracer_provider()
"""
WORK = """
tracer = trace.get_tracer("app")
for number in range(3):
    with tracer.start_as_current_span(f"request {number}"), tracer.start_as_current_span(f"chat {number}"):
        update_current_trace(metadata={"number": number})
provider.force_flush()
provider.shutdown()
"""
IMPORT = "from opentelemetry import trace\nfrom spanhouse.processor import MetadataSpanProcessor, configure, update_current_trace\n"
PROVIDERS = {
    "phoenix, one by one": ("phoenix", PHOENIX.replace("{batch}", "False")),
    "phoenix, in batches": ("phoenix", PHOENIX.replace("{batch}", "True")),
    "arize, one by one": ("arize", ARIZE.replace("{batch}", "False")),
    "arize, in batches": ("arize", ARIZE.replace("{batch}", "True")),
    "arize's provider alone": ("arize", ARIZE_DEFAULT),
    "logfire": ("logfire", LOGFIRE),
}


@pytest.fixture
def own() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


@pytest.fixture
def ours() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


def run(checkout: Checkout, vendor: str, code: str, **variables: str) -> str:
    """Run a program in a checkout and return its commit."""
    checkout.write("app.py", code)
    commit = checkout.commit()
    finish(start([interpreter(vendor, *PINNED[vendor]["requirements"]), "app.py"], cwd=checkout.root, environ=variables))
    return commit


def commits(sink: Sink) -> dict[str, str | None]:
    """Return the commit of every span that has arrived: its resource's, else its local root's, ``request`` of the same number."""
    roots = {name: attributes.get(COMMIT) for name, _, attributes in sink.spans() if name.startswith("request") and COMMIT in attributes}
    return {name: resource.get(COMMIT) or roots.get(f"request {name[-1]}") for name, resource, _ in sink.spans() if name in SPANS}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("detector", [False, True])
def test_configure_with_an_endpoint_leaves_both_destinations_with_every_span(
    checkout: Checkout, own: Sink, ours: Sink, provider: str, detector: bool
) -> None:
    vendor, setup = PROVIDERS[provider]
    call = f"configure(endpoint='http://127.0.0.1:{ours.http_port}', protocol='http/protobuf')\n"
    variables = {"OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "spanhouse,otel"} if detector else {}
    commit = run(checkout, vendor, setup.format(own=own.http_port, own_grpc=own.grpc_port) + IMPORT + call + call + WORK, **variables)
    assert commits(own) == commits(ours) == dict.fromkeys(SPANS, commit)
    assert sorted(name for name, _, _ in ours.spans()) == sorted(SPANS), "nothing is sent twice"
    assert {resource[COMMIT] for _, resource, _ in ours.spans()} == {commit}
    assert [attributes["mlflow.traceMetadata.number"] for name, _, attributes in ours.spans() if name == "request 2"] == ["2"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_configure_alone_leaves_the_packages_own_destination_with_every_span(checkout: Checkout, own: Sink, provider: str) -> None:
    vendor, setup = PROVIDERS[provider]
    commit = run(checkout, vendor, setup.format(own=own.http_port, own_grpc=own.grpc_port) + IMPORT + "assert configure() is provider\n" + WORK)
    assert commits(own) == dict.fromkeys(SPANS, commit)


def test_the_documented_line_keeps_phoenixs_exporter(checkout: Checkout, own: Sink) -> None:
    line = "provider.add_span_processor(MetadataSpanProcessor(all_keys=True), replace_default_processor=False)\n"
    commit = run(checkout, "phoenix", PROVIDERS["phoenix, one by one"][1].format(own=own.http_port, own_grpc=own.grpc_port) + IMPORT + line + WORK)
    assert commits(own) == dict.fromkeys(SPANS, commit)


def test_logfire_that_is_set_up_once_more_is_equipped_by_another_call(checkout: Checkout, own: Sink, ours: Sink) -> None:
    call = f"configure(endpoint='http://127.0.0.1:{ours.http_port}', protocol='http/protobuf')\n"
    commit = run(
        checkout,
        "logfire",
        LOGFIRE.format(own=own.http_port, own_grpc=own.grpc_port) + IMPORT + call + "logfire.configure(**settings)\n" + call + WORK,
    )
    assert commits(own) == commits(ours) == dict.fromkeys(SPANS, commit)


def test_the_environment_that_logfire_is_told_is_the_type(checkout: Checkout, own: Sink, ours: Sink) -> None:
    call = f"configure(endpoint='http://127.0.0.1:{ours.http_port}', protocol='http/protobuf')\n"
    run(
        checkout,
        "logfire",
        LOGFIRE.format(own=own.http_port, own_grpc=own.grpc_port) + IMPORT + call + WORK,
        OTEL_EXPERIMENTAL_RESOURCE_DETECTORS="spanhouse,otel",
    )
    assert {resource[TYPE] for _, resource, _ in ours.spans()} == {"production"}
    assert {attributes[TYPE] for name, _, attributes in own.spans() if name == "request 0"} == {"production"}
