"""Java's own HTTP client, which offers HTTP/2 with every request in the clear."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path
from typing import Final

import pytest
from tests.support.serve import Serve
from tests.support.spans import JSON, PROTOBUF, body_of, stored

_PROGRAM: Final = Path(__file__).parents[1] / "support" / "clients" / "java" / "Post.java"


def send(method: str, url: str, body: bytes, directory: Path, *, content_type: str, framing: str) -> str:
    """Status and body of the answer."""
    file = directory / "body"
    file.write_bytes(body)
    command = ["java", str(_PROGRAM), method, url, content_type, str(file), framing]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_spans_are_stored(serve: Serve, tmp_path: Path, content_type: str, framing: str) -> None:
    name = secrets.token_hex(8)
    body = body_of(name, content_type)
    assert send("POST", f"http://{serve.http}/v1/traces", body, tmp_path, content_type=content_type, framing=framing).startswith("200 ")
    assert stored(serve, name) == 1


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_query_is_answered(serve: Serve, tmp_path: Path, framing: str) -> None:
    assert send("POST", f"{serve.dsn}/", b"SELECT 7", tmp_path, content_type="text/plain", framing=framing) == "200 7\n"


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_tag_is_set(serve: Serve, tmp_path: Path, framing: str) -> None:
    url = f"http://{serve.console}/api/v1/traces/tr-{secrets.token_hex(16)}/tags/verdict"
    answer = send("PUT", url, b'{"value": "good"}', tmp_path, content_type=JSON, framing=framing)
    assert answer.startswith("200 ")
    assert '"value": "good"' in answer
