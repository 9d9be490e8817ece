"""Web pages: kept out by default, let in by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from google.rpc.status_pb2 import Status
from tests.support.otlp import request, span
from tests.support.receiver import Receiver
from tests.support.store import TestStore
from tests.support.tokens import digest

from spanhouse.exporter.access.tokens import Right, Tokens
from spanhouse.exporter.address import ConfigError
from spanhouse.exporter.transport.cors import parse_origins

PAGE = "https://app.example.com"


def body() -> bytes:
    """One span, another each time: a request that is sent again is stored once."""
    return request([span("of a page")]).SerializeToString()


@pytest.fixture(scope="module")
def closed(module_store: TestStore) -> Iterator[Receiver]:
    with Receiver(module_store) as running:
        yield running


@pytest.fixture(scope="module")
def opened(module_store: TestStore) -> Iterator[Receiver]:
    tokens = Tokens({digest("of the page"): frozenset({Right.INGEST})})
    with Receiver(module_store, tokens=tokens, origins=parse_origins(f"{PAGE}, http://localhost:3000")) as running:
        yield running


@pytest.fixture
def stored(module_store: TestStore) -> Callable[[], int]:
    """Number of spans stored since the test began."""

    def count() -> int:
        return int(module_store.rows("SELECT count() AS spans FROM otel_traces")[0]["spans"])

    before = count()
    return lambda: count() - before


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_what_a_page_can_send_without_asking_is_no_otlp(closed: Receiver, stored: Callable[[], int], content_type: str) -> None:
    """Browsers send these content types to anybody, without a preflight request."""
    assert closed.post(body(), content_type=content_type)[0] == 415
    assert stored() == 0


@pytest.mark.parametrize("origin", [PAGE, "null", "http://rebound.example:4318", "http://127.0.0.1:8080"])
def test_no_page_can_send_by_default(closed: Receiver, stored: Callable[[], int], origin: str) -> None:
    """Nor one whose own name was made to lead here, for which the browser takes us for its server."""
    status, answer, headers = closed.post(body(), origin=origin, host=origin.partition("://")[2] or "x")
    assert (status, headers["content-type"]) == (403, "application/x-protobuf")
    assert Status.FromString(answer).code == 7
    assert "access-control-allow-origin" not in headers
    status, _, headers = closed.post(b"", method="OPTIONS", origin=origin, access_control_request_method="POST")
    assert status == 403
    assert stored() == 0


def test_what_sends_no_origin_is_not_a_page_and_needs_no_certain_host_name(closed: Receiver, stored: Callable[[], int]) -> None:
    assert closed.post(body(), host="host.docker.internal:4318")[0] == 200
    assert stored() == 1


def test_a_page_that_is_named_asks_and_sends(opened: Receiver, stored: Callable[[], int]) -> None:
    asked = {"origin": PAGE, "access_control_request_method": "POST", "access_control_request_headers": "content-type,x-api-key"}
    status, answer, headers = opened.post(b"", method="OPTIONS", **asked)
    assert (status, answer) == (204, b"")
    assert headers["access-control-allow-origin"] == PAGE
    assert headers["access-control-allow-methods"] == "POST"
    assert {"content-type", "authorization", "x-api-key", "traceparent"} <= set(headers["access-control-allow-headers"].split(", "))
    assert headers["vary"] == "origin"
    status, _, headers = opened.post(body(), origin=PAGE, x_api_key="of the page")
    assert (status, headers["access-control-allow-origin"], headers["vary"]) == (200, PAGE, "origin")
    assert stored() == 1


def test_a_page_can_read_errors_and_when_to_try_again(opened: Receiver) -> None:
    status, _, headers = opened.post(body(), origin=PAGE)
    assert (status, headers["access-control-allow-origin"]) == (401, PAGE)
    status, _, headers = opened.post(b"garbage", origin=PAGE, x_api_key="of the page")
    assert (status, headers["access-control-allow-origin"]) == (400, PAGE)
    assert headers["access-control-expose-headers"] == "retry-after"


def test_another_page_is_refused_beside_one_that_is_named(opened: Receiver, stored: Callable[[], int]) -> None:
    for origin in ("https://app.example.com.evil.example", "http://app.example.com", "https://app.example.com:8443", "null"):
        status, _, headers = opened.post(body(), origin=origin, x_api_key="of the page")
        assert status == 403
        assert "access-control-allow-origin" not in headers
    assert stored() == 0


def test_all_pages_may_send_when_it_is_spelled_out(module_store: TestStore) -> None:
    with Receiver(module_store, origins=parse_origins("*")) as receiver:
        status, _, headers = receiver.post(body(), origin="https://anything.example")
        assert (status, headers["access-control-allow-origin"]) == (200, "*")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_no_page_can_read_what_is_for_operators(opened: Receiver, path: str) -> None:
    assert "access-control-allow-origin" not in opened.post(b"", path=path, method="GET", origin=PAGE)[2]


@pytest.mark.parametrize(
    ("text", "origins"),
    [("", set()), ("*", {"*"}), ("https://A.example, http://localhost:3000", {"https://a.example", "http://localhost:3000"})],
)
def test_origins_are_read(text: str, origins: set[str]) -> None:
    assert parse_origins(text) == origins


@pytest.mark.parametrize(
    "text", ["app.example.com", "https://app.example.com/", "https://app.example.com/x", "https://*.example.com", "https://a:443", "null"]
)
def test_what_no_browser_sends_as_an_origin_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="--cors-origins"):
        parse_origins(text)
