"""Tags that are set and deleted after their trace was stored: over the JSON API, by TraceClient and by the command, durable and bounded."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import clickhouse_connect
import pytest
from tests.support import otlp
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.serve import Serve
from tests.support.store import TestStore
from tests.support.tokens import token_file

from spanhouse.query import FilterError, StoreUnavailableError, TraceClient


class Said(NamedTuple):
    """A response of the API."""

    status: int
    body: Any
    headers: Mapping[str, str]


def call(address: str, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Said:
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        text = response.read()
        return Said(response.status, json.loads(text) if text else None, {name.lower(): value for name, value in response.getheaders()})
    finally:
        connection.close()


def tag_path(trace_id: str, key: str) -> str:
    return f"/api/v1/traces/{trace_id}/tags/{quote(key, safe='')}"


def put(serve: Serve, trace_id: str, key: str, value: str) -> Said:
    return call(serve.console, "PUT", tag_path(trace_id, key), json.dumps({"value": value}).encode())


def send(serve: Serve, name: str, tags: Mapping[str, str]) -> str:
    """Store a trace that carries these tags; gives its id, bare."""
    request = otlp.trace(name=name, attributes={f"mlflow.traceTag.{key}": value for key, value in tags.items()})
    connection = http.client.HTTPConnection(serve.http, timeout=60)
    connection.request("POST", "/v1/traces", request.SerializeToString(), {"content-type": "application/x-protobuf"})
    assert connection.getresponse().status == 200
    connection.close()
    serve.drained()
    return str(request.resource_spans[0].scope_spans[0].spans[0].trace_id.hex())


@pytest.fixture(scope="module")
def client(serve: Serve) -> Iterator[TraceClient]:
    with TraceClient(serve.dsn) as made:
        yield made


def tags(client: TraceClient, trace_id: str) -> dict[str, str]:
    found = client.get_trace(trace_id)
    assert found is not None
    return {key: value for key, value in found.info.tags.items() if key != "mlflow.traceName"}


def test_a_tag_that_is_set_takes_the_place_of_one_that_spans_carry_and_can_be_searched_for(serve: Serve, client: TraceClient) -> None:
    trace_id = send(serve, "judged", {"verdict": "open", "other": "stays"})
    said = put(serve, f"tr-{trace_id.upper()}", "verdict", "good")
    assert (said.status, said.body) == (200, {"trace_id": f"tr-{trace_id}", "key": "verdict", "value": "good"})
    assert tags(client, trace_id) == {"verdict": "good", "other": "stays"}
    ids = [trace.info.trace_id for trace in client.search_traces(filter_string="tags.verdict = 'good' AND name = 'judged'", max_results=10)]
    assert ids == [f"tr-{trace_id}"]
    assert not client.search_traces(filter_string="tags.verdict = 'open' AND name = 'judged'", max_results=10)


def test_the_last_edit_of_a_key_counts_and_what_is_deleted_is_gone(serve: Serve, client: TraceClient) -> None:
    trace_id = send(serve, "edited", {"a": "sent", "b": "sent"})
    for value in ("1", "2", "3"):
        assert put(serve, trace_id, "a", value).status == 200
    assert tags(client, trace_id)["a"] == "3"
    for _ in range(2):
        said = call(serve.console, "DELETE", tag_path(f"tr-{trace_id}", "a"))
        assert (said.status, said.body) == (204, None)
    client.delete_trace_tag(f"tr-{trace_id}", "b")
    assert tags(client, trace_id) == {}
    assert client.search_traces(filter_string=f"tags.a IS NULL AND request_id = 'tr-{trace_id}'", max_results=1)
    client.set_trace_tag(trace_id, "a", "again")
    assert tags(client, trace_id) == {"a": "again"}


def test_a_tag_can_be_set_before_its_trace_is_stored(store: TestStore) -> None:
    request = otlp.trace(name="late", attributes={"mlflow.traceTag.a": "sent"})
    trace_id = request.resource_spans[0].scope_spans[0].spans[0].trace_id.hex()
    with TraceClient(store.dsn) as client:
        client.set_trace_tag(trace_id, "a", "set")
        assert client.get_trace(trace_id) is None
        assert not len(client.search_traces())
        store.ingest(request)
        assert tags(client, trace_id) == {"a": "set"}


def test_a_deletion_outlives_the_merging_of_edits(store: TestStore) -> None:
    request = otlp.trace(attributes={"mlflow.traceTag.a": "sent", "mlflow.traceTag.b": "sent"})
    store.ingest(request)
    trace_id = request.resource_spans[0].scope_spans[0].spans[0].trace_id.hex()
    with TraceClient(store.dsn) as client:
        client.set_trace_tag(trace_id, "a", "set")
        client.delete_trace_tag(trace_id, "a")
        client.set_trace_tag(trace_id, "b", "1")
        client.set_trace_tag(trace_id, "b", "2")
        store.client.command("OPTIMIZE TABLE trace_tags FINAL")
        assert tags(client, trace_id) == {"b": "2"}


def test_an_edit_counts_after_one_that_a_clock_running_ahead_has_dated(store: TestStore) -> None:
    request = otlp.trace()
    store.ingest(request)
    trace_id = request.resource_spans[0].scope_spans[0].spans[0].trace_id.hex()
    store.client.command(f"INSERT INTO trace_tags (TraceId, Key, Value, EditedAt) SELECT '{trace_id}', 'a', 'ahead', now64(9) + INTERVAL 1 YEAR")
    with TraceClient(store.dsn) as client:
        client.set_trace_tag(trace_id, "a", "set")
        assert tags(client, trace_id) == {"a": "set"}
        client.delete_trace_tag(trace_id, "a")
        assert tags(client, trace_id) == {}


TEXTS = ["", "it's", 'quo"te', "a\nb\tc", "\\", "{p0:String}", "clé 漢字 🙂", "a/b", "%2F", "'; DROP TABLE trace_tags; --", "\0", "x" * 8000]


def test_texts_arrive_as_they_were_set(serve: Serve, client: TraceClient) -> None:
    trace_id = send(serve, "texts", {})
    # A text is the key, too, where it can be one: each edit takes most of a second.
    texts = {text if 0 < len(text) <= 250 and text.isprintable() else f"v{number}": text for number, text in enumerate(TEXTS)}
    for key, text in texts.items():
        client.set_trace_tag(trace_id, key, text)
    assert tags(client, trace_id) == texts


ID = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    ("request_line", "body", "status", "error"),
    [
        (("PUT", tag_path("xyz", "a")), b'{"value": "v"}', 400, "'xyz' is not the id of a trace: it has 32 hex digits, with or without tr-"),
        (("DELETE", tag_path("tr-" + ID[1:], "a")), None, 400, "is not the id of a trace"),
        (("PUT", tag_path(ID, "")), b'{"value": "v"}', 400, "the key of a tag has 1 to 250 characters"),
        (("PUT", tag_path(ID, "k" * 251)), b'{"value": "v"}', 400, "the key of a tag has 1 to 250 characters"),
        (("PUT", tag_path(ID, "a\nb")), b'{"value": "v"}', 400, "none of them a control character"),
        (("PUT", f"/api/v1/traces/{ID}/tags/%FF"), b'{"value": "v"}', 400, "the path is not percent-encoded UTF-8"),
        (
            ("PUT", tag_path(ID, "a")),
            json.dumps({"value": "v" * 8001}).encode(),
            400,
            "the value of tag 'a' has 8001 characters: 8000 are kept at most",
        ),
        (("PUT", tag_path(ID, "a")), b"v" * 200_000, 413, "the body has more than 131072 bytes"),
        (("PUT", tag_path(ID, "a")), b"v", 400, 'the body must be {"value": "TEXT"} as JSON'),
        (("PUT", tag_path(ID, "a")), b"", 400, 'the body must be {"value": "TEXT"} as JSON'),
        (("PUT", tag_path(ID, "a")), b'{"value": 1}', 400, 'the body must be {"value": "TEXT"} as JSON'),
        (("PUT", tag_path(ID, "a")), b'{"value": "v", "more": 1}', 400, 'the body must be {"value": "TEXT"} as JSON'),
        (("PUT", tag_path(ID, "a")), b'{"value": "\xff"}', 400, 'the body must be {"value": "TEXT"} as JSON'),
        (("PUT", tag_path(ID, "a")), b"[" * 50_000, 400, 'the body must be {"value": "TEXT"} as JSON'),
        (("PUT", tag_path(ID, "a")), b'{"value": "\\ud800"}', 400, "a lone surrogate"),
        (("POST", tag_path(ID, "a")), b'{"value": "v"}', 405, "use PUT or DELETE here"),
        (("PUT", "/api/v1/openapi.json"), b"", 405, "use GET or HEAD here"),
        (("GET", "/"), None, 404, "no such path: GET /api/v1/openapi.json lists the paths"),
        (("GET", f"/api/v1/traces/{ID}"), None, 404, "no such path"),
    ],
)
def test_a_mistake_gets_one_line_of_json(serve: Serve, request_line: tuple[str, str], body: bytes | None, status: int, error: str) -> None:
    said = call(serve.console, *request_line, body)
    assert (said.status, list(said.body)) == (status, ["error"])
    assert error in said.body["error"]
    assert "\n" not in said.body["error"]


def test_web_pages_from_elsewhere_edit_nothing(serve: Serve) -> None:
    port = serve.console.rpartition(":")[2]
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": f"evil.example:{port}"}):
        assert call(serve.console, "PUT", tag_path(ID, "evil"), b'{"value": "v"}', headers).status == 403
    assert clickhouse_connect.get_client(dsn=serve.dsn).command("SELECT count() FROM trace_tags WHERE Key = 'evil'") == 0


def test_the_api_is_described_and_the_endpoint_for_queries_says_where_it_is(serve: Serve) -> None:
    said = call(serve.console, "GET", "/api/v1/openapi.json")
    assert said.body["openapi"].startswith("3.1")
    assert set(said.body["paths"]) == {"/api/v1/traces/{trace_id}/tags/{key}", "/api/v1/prices", "/api/v1/store/{action}", "/api/v1/openapi.json"}
    assert set(said.body["paths"]["/api/v1/traces/{trace_id}/tags/{key}"]) == {"parameters", "put", "delete"}
    connection = http.client.HTTPConnection(serve.clickhouse_http, timeout=60)
    connection.request("GET", "/ping")
    assert connection.getresponse().headers["X-Spanhouse-Api"] == serve.console.rpartition(":")[2]
    connection.close()
    assert json.loads((serve.data_dir / "serve.json").read_text())["console"] == serve.console


def test_only_a_token_with_the_right_to_write_edits(tmp_path: Path) -> None:
    tokens = token_file(tmp_path / "tokens", "reader:read", "writer:read,write", "sender:ingest")
    with Serve(tmp_path, "--token-file", str(tokens)) as serve:
        path, body = tag_path(ID, "a"), b'{"value": "v"}'
        answers = {
            token: call(serve.console, "PUT", path, body, {"Authorization": f"Bearer {token}"}) for token in ("reader", "writer", "sender", "x")
        }
        assert {token: said.status for token, said in answers.items()} == {"reader": 403, "writer": 200, "sender": 403, "x": 401}
        assert answers["reader"].body["error"].startswith("the token does not allow to write")
        assert call(serve.console, "DELETE", path).headers["www-authenticate"] == 'Basic realm="spanhouse"'
        assert call(serve.console, "GET", "/api/v1/openapi.json", headers={"X-API-Key": "sender"}).status == 403
        assert call(serve.console, "GET", "/api/v1/openapi.json", headers={"X-API-Key": "reader"}).status == 200
        with TraceClient(f"http://any:writer@{serve.clickhouse_http}") as client:
            client.set_trace_tag(ID, "b", "by the client")
        with (
            TraceClient(f"http://any:reader@{serve.clickhouse_http}") as client,
            pytest.raises(StoreUnavailableError, match="does not allow to write"),
        ):
            client.set_trace_tag(ID, "c", "v")
        # What was answered is there after the process was killed.
        serve.stop(signal.SIGKILL)
    with Serve(tmp_path, "--token-file", str(tokens), "--console", "off") as again:
        reader = clickhouse_connect.get_client(dsn=f"http://any:reader@{again.clickhouse_http}")
        rows = reader.query("SELECT Key, Value FROM trace_tags FINAL ORDER BY Key").result_rows
        assert rows == [("a", "v"), ("b", "by the client")]
        assert again.console == "off"
        with TraceClient(f"http://any:writer@{again.clickhouse_http}") as client, pytest.raises(StoreUnavailableError, match="its console is off"):
            client.delete_trace_tag(ID, "a")


@pytest.mark.parametrize(("key", "value"), [("", "v"), ("k" * 251, "v"), ("k", "v" * 8001), ("\ud800", "v"), ("k", "\ud800")])
def test_the_client_refuses_what_the_api_would(client: TraceClient, key: str, value: str) -> None:
    with pytest.raises(FilterError):
        client.set_trace_tag(ID, key, value)


def test_on_a_clickhouse_server_edits_are_inserts_of_the_client_or_of_the_api(tmp_path: Path) -> None:
    with ClickHouseServer(tmp_path / "engine") as server:
        subprocess.run([sys.executable, "-m", "spanhouse.cli", "migrate", "--store", server.dsn], check=True, timeout=120)
        with Serve(tmp_path, "--store", server.dsn, "--spool", str(tmp_path / "spool")) as serve, TraceClient(server.dsn) as client:
            trace_id = send(serve, "elsewhere", {"a": "sent"})
            client.set_trace_tag(trace_id, "a", "it's\nset")
            assert put(serve, trace_id, "b", "by the api").status == 200
            assert tags(client, trace_id) == {"a": "it's\nset", "b": "by the api"}
            client.delete_trace_tag(trace_id, "b")
            assert tags(client, trace_id) == {"a": "it's\nset"}
