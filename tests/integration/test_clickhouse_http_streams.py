"""Large results go out piece by piece, and a query ends when nobody waits for it."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import clickhouse_connect
import lz4.frame
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from tests.support.clickhouse_http import Endpoint, listening
from tests.support.serve import Serve
from tests.support.store import TestStore

from spanhouse.exporter.clickhouse_http.query_settings import QueryLimits

LARGE = "SELECT number, toString(number) AS text FROM numbers(300000)"
FAILING = "SELECT number, toString(number) AS text FROM numbers(3000000) WHERE throwIf(number = 2900000) = 0"
FORMATS = ["Native", "RowBinary", "TabSeparated", "CSV", "JSONEachRow", "JSONCompactEachRow", "TSKV", "TabSeparatedRaw"]


@pytest.fixture(scope="module")
def endpoint(module_store: TestStore) -> Iterator[Endpoint]:
    with listening(module_store.database, limits=QueryLimits(concurrent_queries=2)) as made:
        yield made


@pytest.mark.parametrize("output_format", FORMATS)
def test_the_pieces_of_a_result_are_the_result(endpoint: Endpoint, module_store: TestStore, output_format: str) -> None:
    answer = endpoint.ask(f"{LARGE} FORMAT {output_format}")
    assert answer.status == 200
    assert "content-length" not in answer.headers
    assert answer.headers["x-clickhouse-format"] == output_format
    # Blocks of Native may be cut elsewhere; what they hold is the same, as clickhouse-connect finds below.
    if output_format != "Native":
        assert answer.body == module_store.client.raw_query(LARGE, fmt=output_format)


@pytest.mark.parametrize("output_format", ["JSON", "CSVWithNames", "JSONCompact", "ArrowStream", "Parquet", "PrettyCompact", "JSONColumns"])
def test_a_format_with_a_beginning_or_an_end_has_them_once(endpoint: Endpoint, module_store: TestStore, output_format: str) -> None:
    answer = endpoint.ask(f"{LARGE} FORMAT {output_format}")
    expected = module_store.client.raw_query(LARGE, fmt=output_format, settings={"max_block_size": 8192})
    varying = rb'"(elapsed|bytes_read|rows_read)": [0-9.e-]+'
    assert re.sub(varying, b"", answer.body) == re.sub(varying, b"", expected)
    assert answer.headers["x-clickhouse-format"] == output_format
    assert json.loads(answer.headers["x-clickhouse-summary"])["result_rows"] == "300000"


def test_a_small_result_in_such_a_format_has_its_length(endpoint: Endpoint) -> None:
    answer = endpoint.ask("SELECT 1 AS a FORMAT JSON")
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert json.loads(answer.body)["data"] == [{"a": 1}]


@pytest.mark.parametrize(("encoding", "unpack"), [("gzip", gzip.decompress), ("lz4", lz4.frame.decompress)])
def test_pieces_are_compressed_as_one_body(endpoint: Endpoint, module_store: TestStore, encoding: str, unpack: object) -> None:
    answer = endpoint.ask(LARGE, fields={"enable_http_compression": "1"}, headers={"Accept-Encoding": encoding})
    assert (answer.headers["content-encoding"], "content-length" in answer.headers) == (encoding, False)
    assert callable(unpack)
    assert unpack(answer.body) == module_store.client.raw_query(LARGE, fmt="TabSeparated")


@pytest.mark.parametrize("extra", [" WITH TOTALS", " SETTINGS extremes = 1"])
def test_what_follows_the_rows_is_not_lost(endpoint: Endpoint, module_store: TestStore, extra: str) -> None:
    statement = f"SELECT number % 200000 AS k, count() FROM numbers(200000) GROUP BY k{extra}"
    assert len(endpoint.ask(statement).body.splitlines()) == len(module_store.client.raw_query(statement, fmt="TabSeparated").splitlines()) > 200_000


def test_the_client_reads_a_large_result_as_a_stream_and_sees_where_it_failed(endpoint: Endpoint) -> None:
    client = clickhouse_connect.get_client(host="127.0.0.1", port=endpoint.port)
    with client.query_row_block_stream(LARGE) as blocks:
        rows = [row for block in blocks for row in block]
    assert rows == [(number, str(number)) for number in range(300_000)]
    with pytest.raises(DatabaseError, match="395"), client.query_row_block_stream(FAILING) as blocks:
        for _ in blocks:
            pass
    client.close()


def test_a_result_that_fails_on_its_way_is_not_taken_for_complete(endpoint: Endpoint) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=60)
    connection.request("POST", "/", FAILING)
    response = connection.getresponse()
    with pytest.raises(http.client.IncompleteRead) as broken:
        response.read()
    tag = response.headers["X-ClickHouse-Exception-Tag"].encode()
    text = broken.value.partial[-2000:]
    assert re.search(rb"__exception__\r\n%b\r\nCode: 395\. .*\n\d+ %b\r\n__exception__\r\n\Z" % (tag, tag), text, re.DOTALL)
    connection.close()


SLOW = {
    "that aggregates": "SELECT count() FROM numbers(100000000000) WHERE sipHash64(number) = 1",
    "that sends rows": "SELECT number FROM numbers(100000000000)",
    "whose format is sent as a whole": "SELECT count() FROM numbers(100000000000) WHERE sipHash64(number) = 1 FORMAT JSON",
}


def _under_way(store: TestStore) -> int:
    return int(
        store.rows("SELECT count() AS n FROM system.processes WHERE query LIKE '%numbers(100000000000)%' AND query NOT LIKE '%processes%'")[0]["n"]
    )


def _until(store: TestStore, number: int) -> None:
    deadline = time.monotonic() + 25  # below the limit on a query's time, which would end it, too
    while _under_way(store) != number:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("kind", SLOW)
def test_a_query_is_ended_in_the_engine_when_its_client_leaves(endpoint: Endpoint, module_store: TestStore, kind: str) -> None:
    clients = [socket.create_connection(("127.0.0.1", endpoint.port)) for _ in range(2)]
    for client in clients:
        client.sendall(f"GET /?{urlencode({'query': SLOW[kind]})} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    _until(module_store, 2)
    for client in clients:
        client.close()
    _until(module_store, 0)
    assert endpoint.ask("SELECT 1").body == b"1\n"


def test_a_query_whose_client_leaves_while_it_waits_does_not_begin(endpoint: Endpoint, module_store: TestStore) -> None:
    statement = SLOW["that aggregates"]
    clients = [socket.create_connection(("127.0.0.1", endpoint.port)) for _ in range(4)]
    for client in clients:
        client.sendall(f"GET /?{urlencode({'query': statement})} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    _until(module_store, 2)
    for client in reversed(clients):
        client.close()
    _until(module_store, 0)
    assert endpoint.ask("SELECT 1").body == b"1\n"


@pytest.mark.parametrize("output_format", ["RowBinary", "JSONCompact"])
def test_a_large_result_takes_little_memory(serve: Serve, output_format: str) -> None:
    def anonymous() -> int:
        status = Path(f"/proc/{serve.process.pid}/status").read_text()
        return int(status.partition("RssAnon:")[2].split()[0]) * 1024

    connection = http.client.HTTPConnection(serve.clickhouse_http, timeout=60)
    connection.request("POST", "/", f"SELECT number, number, number FROM numbers(10000000) FORMAT {output_format}")
    before, most, size = anonymous(), 0, 0
    response = connection.getresponse()
    while piece := response.read(8 << 20):
        size += len(piece)
        most = max(most, anonymous())
    connection.close()
    assert size >= 240_000_000
    assert most - before < size // 3
