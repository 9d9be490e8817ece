"""Addresses that users paste: each works for every SDK, whatever its default protocol."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("processor", "exporter", "schema", "query", "deploy", "docs")
SUFFIXES = {".md", ".py", ".yaml", ".yml", ".toml", ".txt", ".service", ".env", ".json"}
TEXTS = sorted({ROOT / "README.md", *(path for room in ROOMS for path in (ROOT / room).rglob("*") if path.suffix in SUFFIXES)})
ADDRESS = re.compile(r"OTEL_EXPORTER_OTLP_(TRACES_)?ENDPOINT\b[\"']?\s*[=:]\s*[\"']?(?:\w+://)?([^\s`\"',]+)")
NEAR = 200


def faults(text: str) -> list[str]:
    """Return the addresses in ``text`` that lose traces of some SDK."""
    found = []
    text = re.sub(r"\{\{.*?\}\}", "templated", text)
    for match in ADDRESS.finditer(text):
        for_traces, (host, _, path) = match.group(1) or "", match.group(2).partition("/")
        protocol = re.search(rf"OTEL_EXPORTER_OTLP_{for_traces}PROTOCOL[\"']?\s*[=:]\s*[\"']?([a-z/]+)", text[match.end() : match.end() + NEAR])
        spoken = protocol.group(1) if protocol else None
        # An address for traces is taken as it is; to one for all signals SDKs add the path.
        wanted_path = "v1/traces" if spoken == "http/protobuf" and for_traces else ""
        wanted = {"4317": "grpc", "4318": "http/protobuf"}.get(host.rpartition(":")[2], spoken)
        if spoken is None or spoken != wanted or path != wanted_path:
            found.append(match.group())
    return found


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_address_stands_with_its_protocol_and_its_path(path: Path) -> None:
    assert faults(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("text", "is_fault"),
    [
        ("export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317", True),
        ("OTEL_EXPORTER_OTLP_ENDPOINT: http://serve:4317", True),
        ("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318", True),
        ("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317 OTEL_EXPORTER_OTLP_PROTOCOL=grpc", False),
        ("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317 OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", True),
        ("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318/v1/traces OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", True),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:4318 OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf", True),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:4318/v1/traces OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf", False),
    ],
)
def test_what_is_looked_for_is_found(text: str, is_fault: bool) -> None:
    assert bool(faults(text)) is is_fault
