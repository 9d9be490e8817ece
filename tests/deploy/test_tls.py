"""Certificates as the script makes them, and a server with them that knows its clients."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import grpc
import pytest
import requests
from tests.support.otlp import trace
from tests.support.serve import Serve

TLS = Path(__file__).parents[2] / "deploy/tls"
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tls") / "made"
    for _ in range(2):
        subprocess.run(["sh", str(TLS / "make_certificates.sh"), str(directory), "receiver.example.com", "10.0.0.7"], check=True)
    return directory


def test_keys_are_their_owners_alone_and_the_server_is_known_by_its_hosts(made: Path) -> None:
    assert {path.name for path in made.iterdir()} >= {f"{name}.{kind}" for name in ("ca", "server", "client") for kind in ("pem", "key")}
    assert not any(path.stat().st_mode & 0o077 for path in made.iterdir())
    text = subprocess.run(
        ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", str(made / "server.pem")], capture_output=True, text=True
    ).stdout
    assert "DNS:localhost, IP Address:127.0.0.1, DNS:receiver.example.com, IP Address:10.0.0.7" in text


def test_who_has_a_certificate_of_the_authority_may_send_and_nobody_else(made: Path, tmp_path: Path) -> None:
    text = (TLS / "serve.toml").read_text().replace("/etc/spanhouse/tls", str(made))
    config = tmp_path / "serve.toml"
    config.write_text(re.sub(r":431[78]\"", ':0"', text))
    with Serve(tmp_path / "data", "--config", str(config), "--grpc", "0.0.0.0:0", "--http", "0.0.0.0:0") as serve:
        url = f"https://127.0.0.1:{serve.http.rpartition(':')[2]}/v1/traces"
        body, headers = trace().SerializeToString(), {"Content-Type": "application/x-protobuf"}
        known = (str(made / "client.pem"), str(made / "client.key"))
        assert requests.post(url, body, headers=headers, verify=str(made / "ca.pem"), cert=known, timeout=30).status_code == 200
        with pytest.raises(requests.exceptions.ConnectionError):
            requests.post(url, body, headers=headers, verify=str(made / "ca.pem"), timeout=30)
        files = [(made / name).read_bytes() for name in ("ca.pem", "client.key", "client.pem")]
        with grpc.secure_channel(f"localhost:{serve.grpc.rpartition(':')[2]}", grpc.ssl_channel_credentials(*files)) as channel:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
            assert call(body, timeout=30) in {b"", b"\n\0"}
