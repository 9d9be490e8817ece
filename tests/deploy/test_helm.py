"""The Helm chart: what it renders by Helm's own engine, held against Kubernetes' schemas and against what `serve` takes."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import tomllib
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support import kubernetes
from tests.support.kubernetes import DEPLOY, Rendered
from tests.support.serve import Serve

from spanhouse.cli.settings import resolve
from spanhouse.cli.verb_table import all_options
from spanhouse.cli.verb_table.serve import SERVE
from spanhouse.exporter.address import Address
from spanhouse.exporter.serve.config import STOP_SECONDS, ServeConfig
from spanhouse.schema.address.dsn import parse_store

CHART = DEPLOY / "helm" / "spanhouse"
OF_THE_CHART = {"grpc", "http", "clickhouse-http", "console", "store", "spool", "config", "ack", "token-file", "tls-cert", "tls-key", "tls-client-ca"}
"""Options of `serve` that the chart sets itself, or that make no sense on a volume."""
TOKENS = {"tokens": {"secretName": "tokens"}}
SERVER = {"store": {"dsn": {"secretName": "dsn"}}, **TOKENS}
EMBEDDED = {"store": {"kind": "embedded"}, **TOKENS}
GOOD: Mapping[str, Mapping[str, Any]] = {
    "server": {**SERVER, "image": {"repository": "registry.example.com/spanhouse", "tag": "1", "pullSecrets": ["pull"]}},
    "embedded": EMBEDDED,
    "cluster": {"store": {"dsn": {"secretName": "dsn"}, "migrateDsn": {"secretName": "ddl", "key": "uri"}, "cluster": "spans"}, **TOKENS},
    "scaled": {**SERVER, "autoscaling": {"enabled": True}, "serviceMonitor": {"enabled": True, "token": {"secretName": "metrics"}}},
    "tls": {**SERVER, "tls": {"secretName": "tls"}, "serviceMonitor": {"enabled": True, "token": {"secretName": "metrics"}}},
    "certificates": {"store": {"kind": "embedded"}, "tls": {"secretName": "tls", "clientCA": True}},
    "options": {
        **SERVER,
        "options": {"spool-bytes": 85899345920, "log-level": "info", "cors-origins": 'https://a.example,"\\'},
        "volume": {"size": "100Gi", "storageClass": "fast"},
        "resources": {"requests": {"cpu": "4"}},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "spans", "operator": "Exists"}],
        "networkPolicy": {"enabled": False},
    },
}
BAD: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "nobody is known": ({"store": {"kind": "embedded"}}, "set tokens.secretName to a Secret with a token file, or tls.clientCA"),
    "no DSN": (TOKENS, "store.dsn.secretName: name the Secret"),
    "certificates without TLS": ({**SERVER, "tls": {"clientCA": True}}, "set tls.secretName"),
    "an embedded store for many": ({**EMBEDDED, "autoscaling": {"enabled": True}}, "an embedded store has one receiver"),
    "an embedded store with a DSN": ({**SERVER, "store": {"kind": "embedded", "dsn": {"secretName": "dsn"}}}, "are for a server"),
    "a scrape without a token": ({**SERVER, "serviceMonitor": {"enabled": True}}, "serviceMonitor.token.secretName"),
    "a scrape without a certificate": ({**GOOD["certificates"], "serviceMonitor": {"enabled": True}}, "a scrape needs a client certificate"),
    "a misspelt value": ({**SERVER, "stroage": {}}, "additional properties 'stroage' not allowed"),
    "an option of the chart's own": ({**SERVER, "options": {"grpc": "0.0.0.0:1"}}, "at '/options': additional properties 'grpc' not allowed"),
    "an unknown kind of store": ({**SERVER, "store": {"kind": "cloud"}}, "at '/store/kind'"),
    "a size without a unit of Kubernetes": ({**SERVER, "volume": {"size": "20 GB"}}, "at '/volume/size'"),
    "no receiver": ({**SERVER, "replicas": 0}, "at '/replicas'"),
    "a password for a Secret's name": ({**SERVER, "store": {"dsn": {"secretName": "http://u:p@h:8123"}}}, "at '/store/dsn/secretName'"),
}


@pytest.fixture(scope="module")
def rendered() -> Mapping[str, Rendered]:
    asked = {**GOOD, **{name: values for name, (values, _) in BAD.items()}}
    return dict(zip(asked, kubernetes.render(*asked.values()), strict=True))


def pod(found: Rendered, kind: str = "StatefulSet", name: str = "spanhouse") -> tuple[Any, Any]:
    """The pod's specification and its container."""
    spec = found.one(kind, name)["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    return spec, container


def serve_toml(found: Rendered) -> dict[str, Any]:
    return tomllib.loads(found.one("ConfigMap")["data"]["serve.toml"])


@pytest.mark.parametrize("name", GOOD)
def test_what_is_rendered_is_valid_for_kubernetes(rendered: Mapping[str, Rendered], name: str) -> None:
    assert rendered[name].error == ""
    assert rendered[name].problems == []
    assert {"StatefulSet", "Service", "ConfigMap"} <= rendered[name].kinds()


@pytest.mark.parametrize("name", BAD)
def test_values_that_cannot_work_are_refused_in_words(rendered: Mapping[str, Rendered], name: str) -> None:
    assert BAD[name][1] in rendered[name].error
    assert rendered[name].documents == []


def test_helm_lint_has_nothing_but_the_missing_icon() -> None:
    report = kubernetes.lint()
    assert (report["errors"], [message["error"] for message in report["messages"]]) == ([], ["icon is recommended"])


def test_the_plain_manifests_are_what_the_chart_renders() -> None:
    for path, text in kubernetes.manifests().items():
        assert path.read_text() == text, f"{path.name} is stale: run `make manifests`"


@pytest.mark.parametrize("name", GOOD)
def test_serve_takes_the_options_that_the_chart_writes(rendered: Mapping[str, Rendered], name: str, tmp_path: Path) -> None:
    found = rendered[name]
    config = tmp_path / "serve.toml"
    config.write_text(found.one("ConfigMap")["data"]["serve.toml"])
    _, container = pod(found)
    environ = {"SPANHOUSE_STORE": "http://u:p@clickhouse:8123/spanhouse"} if any("valueFrom" in each for each in container["env"]) else {}
    environ |= {each["name"]: each["value"] for each in container["env"] if "value" in each}
    options = resolve(SERVE.options, {"config": str(config)}, known=all_options(), environ=environ)
    validated(options)
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    for listener, port in ports.items():
        address = Address.parse(getattr(options, listener.replace("-", "_")), listener)
        assert address is not None
        assert (address.port, address.loopback) == (port, False)
    assert parse_store(options.store).embedded is (name in {"embedded", "certificates"})


def validated(options: Namespace) -> None:
    ServeConfig(
        store=parse_store(options.store),
        grpc=options.grpc,
        http=options.http,
        clickhouse_http=options.clickhouse_http,
        console=options.console,
        spool_bytes=options.spool_bytes,
        token_file=options.token_file,
        tls_cert=options.tls_cert,
        tls_key=options.tls_key,
        tls_client_ca=options.tls_client_ca,
        engine_memory_bytes=options.engine_memory_bytes,
        engine_cache_bytes=options.engine_cache_bytes,
    ).validate()


def test_options_reach_serve_as_they_were_given(rendered: Mapping[str, Rendered]) -> None:
    written = serve_toml(rendered["options"])
    assert {name: written[name] for name in GOOD["options"]["options"]} == GOOD["options"]["options"]


def test_values_take_every_option_of_serve_that_is_not_the_charts_own() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    taken = set(schema["properties"]["options"]["properties"])
    # The format is set in the environment, as the image does, which ranks above the file.
    # A new option belongs into values.schema.json, or to the chart's own.
    assert taken == {option.name for option in SERVE.options} - OF_THE_CHART - {"log-format"}


def test_every_value_is_documented_and_checked() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    text = (CHART / "values.yaml").read_text()
    top = {line.partition(":")[0] for line in text.splitlines() if line and line[0].islower()}
    assert top == set(schema["properties"]) - {"global"}
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(("name", "kind", "of"), [("server", "StatefulSet", ""), ("server", "Job", "-migrate"), ("embedded", "StatefulSet", "")])
def test_pods_have_no_rights_that_they_do_not_need(rendered: Mapping[str, Rendered], name: str, kind: str, of: str) -> None:
    spec, container = pod(rendered[name], kind, f"spanhouse{of}")
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    expected = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert container["securityContext"] == expected
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False


def test_nothing_secret_is_in_what_is_rendered(rendered: Mapping[str, Rendered]) -> None:
    for name in GOOD:
        assert "Secret" not in rendered[name].kinds()
    assert pod(rendered["cluster"], "Job", "spanhouse-migrate")[1]["env"] == [
        {"name": "SPANHOUSE_STORE", "valueFrom": {"secretKeyRef": {"name": "ddl", "key": "uri"}}},
        {"name": "SPANHOUSE_CLUSTER", "value": "spans"},
    ]


def test_an_embedded_store_has_one_receiver_its_queries_and_no_job(rendered: Mapping[str, Rendered]) -> None:
    found = rendered["embedded"]
    assert found.one("StatefulSet")["spec"]["replicas"] == 1
    assert not {"Job", "PodDisruptionBudget", "HorizontalPodAutoscaler"} & found.kinds()
    assert [port["name"] for port in found.one("Service")["spec"]["ports"]] == ["grpc", "http", "console", "clickhouse-http"]
    assert found.one("NetworkPolicy")["spec"]["egress"] == []
    # The endpoint for queries and the console know clients by token alone.
    assert serve_toml(rendered["certificates"])["clickhouse-http"] == "127.0.0.1:8123"


def test_the_job_runs_before_what_needs_its_tables(rendered: Mapping[str, Rendered]) -> None:
    job = rendered["server"].one("Job", "spanhouse-migrate")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert pod(rendered["server"], "Job", "spanhouse-migrate")[1]["args"] == ["migrate"]


def test_the_autoscaler_alone_says_how_many_receivers_there_are(rendered: Mapping[str, Rendered]) -> None:
    assert rendered["server"].one("StatefulSet")["spec"]["replicas"] == 2
    assert "replicas" not in rendered["scaled"].one("StatefulSet")["spec"]
    target = rendered["scaled"].one("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("StatefulSet", "spanhouse")


def test_selectors_find_the_receivers_and_nothing_else(rendered: Mapping[str, Rendered]) -> None:
    found = rendered["scaled"]
    receiver = found.one("StatefulSet")["spec"]["template"]["metadata"]["labels"].items()
    job = found.one("Job", "spanhouse-migrate")["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        found.one("StatefulSet")["spec"]["selector"]["matchLabels"],
        found.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        found.one("Service")["spec"]["selector"],
        found.one("Service", "spanhouse-headless")["spec"]["selector"],
    ]
    for selector in selectors:
        assert selector.items() <= receiver
        assert not selector.items() <= job
    monitored = found.one("ServiceMonitor")["spec"]["selector"]["matchLabels"].items()
    services = [each for each in found.documents if each["kind"] == "Service" and monitored <= each["metadata"]["labels"].items()]
    assert [service["metadata"]["name"] for service in services] == ["spanhouse"]  # each pod is scraped once


def test_acknowledged_spans_outlive_pods_and_scaling(rendered: Mapping[str, Rendered]) -> None:
    stateful = rendered["server"].one("StatefulSet")["spec"]
    assert stateful["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    spec, container = pod(rendered["server"])
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert mounts["/var/lib/spanhouse"] == "data"
    assert {"name": "SPANHOUSE_DATA_DIR", "value": "/var/lib/spanhouse"} in container["env"]
    # Calls under way and then the spool have STOP_SECONDS each, after clients have been told.
    needed = container["lifecycle"]["preStop"]["sleep"]["seconds"] + 2 * STOP_SECONDS
    assert spec["terminationGracePeriodSeconds"] >= needed + 5


def test_a_receiver_runs_with_the_rendered_file_and_answers_its_probes(rendered: Mapping[str, Rendered], tmp_path: Path) -> None:
    found = rendered["embedded"]
    text = found.one("ConfigMap")["data"]["serve.toml"]
    text = text.replace("/var/lib/spanhouse", str(tmp_path / "data")).replace("/etc/spanhouse", str(tmp_path))
    (tmp_path / "serve.toml").write_text(text)
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens" / "tokens").write_text(f"metrics:{hashlib.sha256(b'secret').hexdigest()}:read\n")
    ports = [word for option in ("grpc", "http", "console", "clickhouse-http") for word in (f"--{option}", "0.0.0.0:0")]
    _, container = pod(found)
    with Serve(tmp_path / "data", "--config", str(tmp_path / "serve.toml"), *ports) as serve:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert status(serve.http, container[probe]["httpGet"]["path"]) == 200
        assert status(serve.http, "/metrics") == 401
        assert status(serve.http, "/metrics", "Bearer secret") == 200
        assert status(serve.clickhouse_http, "/?query=SELECT+1", "Basic " + base64.b64encode(b"any:secret").decode()) == 200


def status(address: str, path: str, authorization: str = "") -> int:
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.request("GET", path, headers={"Authorization": authorization} if authorization else {})
        return connection.getresponse().status
    finally:
        connection.close()
