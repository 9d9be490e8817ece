"""The compose file: what its schema says, and its receiver run with its variables, secrets and rights, without containers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
import requests
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.node import node_program
from tests.support.otlp import trace
from tests.support.serve import Serve

DEPLOY = Path(__file__).parents[2] / "deploy"
TEXT = (DEPLOY / "compose.yaml").read_text()


def validate(text: str) -> subprocess.CompletedProcess[str]:
    node, program = node_program(Path(__file__).parent / "compose")
    return subprocess.run([node, "validate.mjs"], cwd=program, input=text, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    checked = validate(TEXT)
    assert checked.returncode == 0, checked.stderr
    read: dict[str, Any] = json.loads(checked.stdout)
    return read


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    directory = tmp_path / "secrets"
    for _ in range(2):
        subprocess.run([sys.executable, "-I", str(DEPLOY / "make_secrets.py"), str(directory)], check=True)
    return directory


def test_a_key_that_compose_does_not_know_is_found(compose: dict[str, Any]) -> None:
    assert compose["services"]
    assert validate(TEXT.replace("stop_grace_period", "stop_grace")).returncode == 1


def test_each_image_from_elsewhere_has_a_version(compose: dict[str, Any]) -> None:
    images = {service["image"] for service in compose["services"].values() if "build" not in service}
    assert images
    assert all(":" in image and not image.endswith(":latest") for image in images)


def test_every_file_that_is_mounted_or_named_is_there(compose: dict[str, Any], secrets: Path) -> None:
    named = [secret["file"] for secret in compose["secrets"].values()] + [
        file for one in compose["services"].values() for file in one.get("env_file", ())
    ]
    assert {Path(name).name for name in named} <= {path.name for path in secrets.iterdir()}
    mounted = [volume.split(":")[0] for service in compose["services"].values() for volume in service.get("volumes", ())]
    assert all((DEPLOY / path).exists() for path in mounted if path.startswith("."))


def test_secrets_are_made_once_and_those_of_applications_are_their_owners_alone(secrets: Path) -> None:
    before = {path.name: path.read_bytes() for path in secrets.iterdir()}
    subprocess.run([sys.executable, "-I", str(DEPLOY / "make_secrets.py"), str(secrets)], check=True)
    assert {path.name: path.read_bytes() for path in secrets.iterdir()} == before
    assert {name for name in before if (secrets / name).stat().st_mode & 0o077} == {
        "tokens",
        "clickhouse.password",
        "grafana.password",
        "prometheus.token",
    }
    assert before["app.token"] not in before["tokens"]


def test_its_receiver_takes_spans_from_who_has_the_token_into_the_server_that_its_migration_prepared(
    compose: dict[str, Any], secrets: Path, tmp_path: Path
) -> None:
    (line,) = (secrets / "store.env").read_text().splitlines()
    name, _, dsn = line.partition("=")
    token = (secrets / "app.token").read_text()
    with ClickHouseServer(tmp_path / "server") as server:
        given = {name: dsn.replace("clickhouse:8123", f"127.0.0.1:{server.port}")}
        client = clickhouse_connect.get_client(port=server.port)
        client.command("CREATE DATABASE spanhouse")
        migrate = [sys.executable, "-m", "spanhouse.cli", *compose["services"]["migrate"]["command"]]
        done = subprocess.run(migrate, env=os.environ | given, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        variables = compose["services"]["receiver"]["environment"] | {"SPANHOUSE_TOKEN_FILE": str(secrets / "tokens")}
        with Serve(tmp_path / "data", "--grpc", "0.0.0.0:0", "--http", "0.0.0.0:0", env=variables | given) as serve:
            url, body = f"http://127.0.0.1:{serve.http.rpartition(':')[2]}/v1/traces", trace().SerializeToString()
            headers = {"Content-Type": "application/x-protobuf"}
            assert requests.post(url, body, headers=headers, timeout=30).status_code == 401
            assert requests.post(url, body, headers=headers | {"Authorization": f"Bearer {token}"}, timeout=30).status_code == 200
            metrics = url.replace("/v1/traces", "/metrics")
            assert requests.get(metrics, headers={"Authorization": f"Bearer {token}"}, timeout=30).status_code == 403
            scraper = (secrets / "prometheus.token").read_text()
            assert requests.get(metrics, headers={"Authorization": f"Bearer {scraper}"}, timeout=30).status_code == 200
            serve.drained()
        assert client.command("SELECT count() FROM spanhouse.otel_traces") == 3
        client.close()
