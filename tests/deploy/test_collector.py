"""The Collector's configuration: every component that a pipeline names is there and every one that is there is used."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.support.environment import interpreter

FILE = Path(__file__).parents[2] / "deploy/collector/gateway.yaml"
TO_JSON = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    python = interpreter("yaml", "pyyaml==6.0.3")
    read: dict[str, Any] = json.loads(
        subprocess.run([python, "-c", TO_JSON], input=FILE.read_text(), capture_output=True, text=True, check=True).stdout
    )
    return read


@pytest.mark.parametrize("kind", ["receivers", "processors", "exporters"])
def test_pipelines_use_what_is_configured_and_nothing_else(config: dict[str, Any], kind: str) -> None:
    used = {name for pipeline in config["service"]["pipelines"].values() for name in pipeline[kind]}
    assert used == set(config[kind])


def test_extensions_that_are_configured_are_started(config: dict[str, Any]) -> None:
    assert set(config["service"]["extensions"]) == set(config["extensions"])
    assert config["exporters"]["otlp/spanhouse"]["sending_queue"]["storage"] in config["extensions"]


def test_memory_is_limited_before_anything_else_and_nothing_listens_beyond_this_machine(config: dict[str, Any]) -> None:
    assert all(pipeline["processors"][0] == "memory_limiter" for pipeline in config["service"]["pipelines"].values())
    endpoints = [protocol["endpoint"] for protocol in config["receivers"]["otlp"]["protocols"].values()]
    assert all(endpoint.startswith("127.0.0.1:") for endpoint in endpoints)
