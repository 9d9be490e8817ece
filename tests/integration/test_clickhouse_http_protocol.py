"""ClickHouse's HTTP interface as curl, Grafana and drivers use it, byte by byte."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping

import lz4.frame
import pytest
from tests.support import otlp
from tests.support.clickhouse_http import Endpoint, listening
from tests.support.store import TestStore

from spanhouse.exporter.clickhouse_http import compressed_blocks
from spanhouse.exporter.clickhouse_http.request_body import too_large


def unpacked(body: bytes) -> bytes:
    return compressed_blocks.decompress(body, 64 << 20, too_large)


@pytest.fixture(scope="module")
def store(module_store: TestStore) -> TestStore:
    module_store.ingest(otlp.trace(name="checkout", children=1))
    return module_store


@pytest.fixture(scope="module")
def endpoint(store: TestStore) -> Iterator[Endpoint]:
    with listening(store.database) as made:
        yield made


def test_a_query_in_the_url_is_answered_in_tab_separated_lines(endpoint: Endpoint) -> None:
    answer = endpoint.ask(method="GET", fields={"query": "SELECT number + 1, if(number = 0, 'a b', 'c') FROM numbers(2)"})
    assert (answer.status, answer.body) == (200, b"1\ta b\n2\tc\n")
    assert answer.headers["content-type"] == "text/tab-separated-values; charset=UTF-8"
    assert answer.headers["x-clickhouse-format"] == "TabSeparated"


def test_a_query_in_the_body_is_answered_as_curl_sends_it(endpoint: Endpoint) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert endpoint.ask("SELECT 1 + 1", headers=headers).body == b"2\n"


def test_the_body_goes_on_where_the_url_ends(endpoint: Endpoint) -> None:
    assert endpoint.ask("1 + 2", fields={"query": "SELECT -- a comment that ends with the line"}).body == b"3\n"


def test_every_answer_names_the_query_the_zone_and_the_server(endpoint: Endpoint) -> None:
    answer = endpoint.ask("SELECT 1", fields={"query_id": "mine-1"})
    assert answer.headers["x-clickhouse-query-id"] == "mine-1"
    assert answer.headers["x-clickhouse-server-display-name"] == "spanhouse"
    assert answer.headers["x-clickhouse-timezone"]
    assert endpoint.ask("SELECT 1").headers["x-clickhouse-query-id"] != endpoint.ask("SELECT 1").headers["x-clickhouse-query-id"]


def test_the_summary_counts_what_was_read(endpoint: Endpoint) -> None:
    summary = json.loads(endpoint.ask("SELECT number FROM numbers(10)").headers["x-clickhouse-summary"])
    assert (summary["read_rows"], summary["result_rows"], summary["read_bytes"]) == ("10", "10", "80")
    assert int(summary["elapsed_ns"]) > 0


def test_a_format_in_the_text_wins_over_the_requests(endpoint: Endpoint) -> None:
    answer = endpoint.ask("SELECT 1 AS a FORMAT JSONEachRow", fields={"default_format": "CSV"}, headers={"X-ClickHouse-Format": "XML"})
    assert answer.body == b'{"a":1}\n'
    assert answer.headers["x-clickhouse-format"] == "JSONEachRow"


def test_the_default_format_comes_from_the_url_or_a_header(endpoint: Endpoint) -> None:
    assert endpoint.ask("SELECT 'a'", fields={"default_format": "CSV"}).body == b'"a"\n'
    assert endpoint.ask("SELECT 'a'", headers={"X-ClickHouse-Format": "Values"}).body == b"('a')"


def test_json_is_whole_and_named_so(endpoint: Endpoint) -> None:
    answer = endpoint.ask("SELECT Name, SpanCount FROM traces FORMAT JSON")
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    parsed = json.loads(answer.body)
    assert [column["name"] for column in parsed["meta"]] == ["Name", "SpanCount"]
    assert [row["Name"] for row in parsed["data"]] == ["checkout"]


def test_grafanas_clickhouse_data_source_gets_its_time_series(endpoint: Endpoint) -> None:
    sql = """SELECT toStartOfInterval(toDateTime(Timestamp), INTERVAL 60 second) AS time, ServiceName, count() AS traces
    FROM traces WHERE (Timestamp >= fromUnixTimestamp64Milli(0) AND Timestamp <= now64(9) + INTERVAL 1 HOUR)
    GROUP BY time, ServiceName ORDER BY time ASC LIMIT 10000"""
    fields = {"default_format": "JSONCompact", "max_execution_time": "60", "client_protocol_version": "54460", "session_timezone": "UTC"}
    answer = endpoint.ask(sql, fields=fields, headers={"User-Agent": "Grafana", "X-Grafana-Org-Id": "1"})
    assert answer.status == 200
    ((_, service, traces),) = json.loads(answer.body)["data"]
    assert (service, int(traces)) == ("tests", 1)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT version()",
        "SELECT timezone(), currentDatabase(), currentUser(), hostName(), uptime()",
        "SHOW DATABASES",
        "SHOW TABLES",
        "SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name",
        "DESCRIBE TABLE otel_traces",
        "DESC TABLE traces SETTINGS describe_compact_output = 1",
        "SELECT name, type, comment FROM system.columns WHERE table = 'otel_traces' AND database = currentDatabase()",
        "SELECT name FROM system.functions LIMIT 5",
        "SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema = currentDatabase()",
        "SELECT COLUMN_NAME FROM INFORMATION_SCHEMA.COLUMNS LIMIT 1",
        "SELECT name, value, changed FROM system.settings LIMIT 1",
        "SHOW CREATE TABLE otel_traces",
        "EXISTS TABLE otel_traces",
        "SELECT * FROM system.one",
        "EXPLAIN indexes = 1 SELECT * FROM otel_traces WHERE TraceId = 'x'",
        "WITH 1 AS one SELECT one",
        "SELECT DISTINCT arrayJoin(mapKeys(SpanAttributes)) AS keys FROM otel_traces LIMIT 1000",
    ],
)
def test_what_drivers_and_tools_ask_at_start_is_answered(endpoint: Endpoint, statement: str) -> None:
    answer = endpoint.ask(statement, fields={"default_format": "RowBinaryWithNamesAndTypes", "session_id": "x", "wait_end_of_query": "1"})
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.body


def test_use_of_the_own_database_is_accepted_and_holds_for_nobody_else(endpoint: Endpoint, store: TestStore) -> None:
    answer = endpoint.ask("USE system")
    assert (answer.status, answer.body) == (200, b"")
    assert endpoint.ask("SELECT currentDatabase()").body.decode().strip() == store.database


def test_the_database_comes_from_the_url_or_a_header(endpoint: Endpoint) -> None:
    assert endpoint.ask("SELECT currentDatabase()", fields={"database": "system"}).body == b"system\n"
    assert endpoint.ask("SELECT currentDatabase()", headers={"X-ClickHouse-Database": "system"}).body == b"system\n"
    assert endpoint.ask("SELECT 1", fields={"database": "nowhere"}).code == 81


def test_identifier_parameters_name_tables_that_may_be_read(endpoint: Endpoint) -> None:
    assert endpoint.ask("SELECT count() FROM {table:Identifier}", fields={"param_table": "traces"}).body == b"1\n"
    assert endpoint.ask("SELECT count() FROM {table:Identifier}").code == 456


def test_harmless_settings_are_applied_from_the_url_and_from_the_text(endpoint: Endpoint) -> None:
    sql = "SELECT toUInt64(1) AS a"
    fields = {"default_format": "JSONEachRow"}
    assert endpoint.ask(sql, fields={**fields, "output_format_json_quote_64bit_integers": "1"}).body == b'{"a":"1"}\n'
    assert endpoint.ask(sql, fields={**fields, "output_format_json_quote_64bit_integers": "0"}).body == b'{"a":1}\n'
    assert endpoint.ask(f"{sql} SETTINGS output_format_json_quote_64bit_integers = 1", fields=fields).body == b'{"a":"1"}\n'
    assert endpoint.ask("SELECT timezone() SETTINGS session_timezone = 'Asia/Tokyo' FORMAT CSV").body == b'"Asia/Tokyo"\n'


def test_a_limit_can_be_lowered(endpoint: Endpoint) -> None:
    answer = endpoint.ask("SELECT number FROM numbers(1000)", fields={"max_result_rows": "10"})
    assert answer.code == 396
    answer = endpoint.ask("SELECT number FROM numbers(1000) SETTINGS max_result_rows = 10")
    assert answer.code == 396


def test_unknown_settings_in_the_url_are_left_out(endpoint: Endpoint) -> None:
    assert endpoint.ask("SELECT 1", fields={"no_such_setting": "1", "http_headers_progress_interval_ms": "1"}).body == b"1\n"


@pytest.mark.parametrize(
    ("statement", "code", "status"),
    [
        ("SELECT * FROM nothing", 60, 404),
        ("SELECT nothing FROM traces", 47, 404),
        ("SELECT no_such_function(1)", 46, 404),
        ("SELEC 1", 62, 400),
        ("SELECT 1; SELECT 2", 62, 400),
        ("SELECT 1 FORMAT Nothing", 73, 404),
        ("SELECT {x:UInt8}", 456, 400),
        ("DROP TABLE otel_traces", 164, 403),
        ("SELECT sleep(1)", 497, 403),
        ("SELECT throwIf(1, 'on purpose')", 395, 500),
        ("SELECT 'x' + 1", 43, 500),
        (b"SELECT '\xff'", 36, 400),
        (b"SELECT 1\0", 62, 400),
    ],
)
def test_an_error_has_clickhouses_number_and_status_and_says_what_is_wrong(
    endpoint: Endpoint, statement: str | bytes, code: int, status: int
) -> None:
    answer = endpoint.ask(statement)
    assert (answer.code, answer.status) == (code, status)
    assert answer.body.decode().startswith(f"Code: {code}. DB::Exception: ")
    assert "formatQuery" not in answer.body.decode()
    assert answer.headers["content-type"].startswith("text/plain")


def test_a_query_id_is_given_back_with_an_error_too(endpoint: Endpoint) -> None:
    assert endpoint.ask("SELEC", fields={"query_id": "mine-2"}).headers["x-clickhouse-query-id"] == "mine-2"


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b"SELECT 1")),
        ("gzip", gzip.compress(b"SELECT ") + gzip.compress(b"1")),
        ("deflate", zlib.compress(b"SELECT 1")),
        ("lz4", lz4.frame.compress(b"SELECT 1")),
        ("identity", b"SELECT 1"),
    ],
)
def test_a_compressed_body_is_unpacked(endpoint: Endpoint, encoding: str, packed: bytes) -> None:
    assert endpoint.ask(packed, headers={"Content-Encoding": encoding}).body == b"1\n"


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [("gzip", b"SELECT 1", 400), ("gzip", gzip.compress(b"SELECT 1")[:-9], 400), ("lz4", b"x", 400), ("br", b"x", 415)],
)
def test_a_body_that_can_not_be_unpacked_is_an_error(endpoint: Endpoint, encoding: str, body: bytes, status: int) -> None:
    assert endpoint.ask(body, headers={"Content-Encoding": encoding}).status == status


@pytest.mark.parametrize(
    ("accepts", "expected"),
    [("gzip", "gzip"), ("gzip, deflate, br", "gzip"), ("lz4, gzip", "lz4"), ("lz4;q=0, gzip;q=0.5", "gzip"), ("br, zstd", None), ("", None)],
)
def test_the_response_is_compressed_as_the_client_accepts(endpoint: Endpoint, accepts: str, expected: str | None) -> None:
    answer = endpoint.ask("SELECT number FROM numbers(1000)", fields={"enable_http_compression": "1"}, headers={"Accept-Encoding": accepts})
    unpack = {"gzip": gzip.decompress, "lz4": lz4.frame.decompress, None: bytes}[expected]
    assert answer.headers.get("content-encoding") == expected
    assert unpack(answer.body) == b"".join(b"%d\n" % number for number in range(1000))


def test_without_being_asked_for_nothing_is_compressed(endpoint: Endpoint) -> None:
    answer = endpoint.ask("SELECT 1", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers
    assert answer.body == b"1\n"


def test_the_response_is_packed_in_clickhouses_own_blocks_as_native_clients_ask(endpoint: Endpoint) -> None:
    answer = endpoint.ask("SELECT number FROM numbers(300000)", fields={"compress": "1"})
    assert "content-encoding" not in answer.headers
    assert unpacked(answer.body) == b"".join(b"%d\n" % number for number in range(300_000))
    assert endpoint.ask("SELECT 1 WHERE 0", fields={"compress": "1"}).body == b""
    assert endpoint.ask("SELEC 1", fields={"compress": "1"}).body.startswith(b"Code: 62.")


def test_blocks_are_compressed_again_if_the_client_asks_for_both(endpoint: Endpoint) -> None:
    fields = {"compress": "1", "enable_http_compression": "1"}
    answer = endpoint.ask("SELECT number FROM numbers(1000)", fields=fields, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert unpacked(gzip.decompress(answer.body)) == b"".join(b"%d\n" % number for number in range(1000))


def test_a_body_in_clickhouses_own_blocks_is_unpacked(endpoint: Endpoint) -> None:
    assert endpoint.ask(compressed_blocks.compress(b"SELECT 'a") + compressed_blocks.compress(b"b'"), fields={"decompress": "1"}).body == b"ab\n"
    headers = {"Content-Encoding": "gzip"}
    assert endpoint.ask(gzip.compress(compressed_blocks.compress(b"SELECT 2")), fields={"decompress": "1"}, headers=headers).body == b"2\n"


def test_a_body_that_is_not_of_such_blocks_is_an_error(endpoint: Endpoint) -> None:
    answer = endpoint.ask("SELECT 1", fields={"decompress": "1"})
    assert (answer.status, answer.code) == (400, 271)


def test_a_session_is_accepted_and_keeps_nothing(endpoint: Endpoint, store: TestStore) -> None:
    fields = {"session_id": "mine", "session_timeout": "60", "session_check": "0"}
    assert endpoint.ask("USE system", fields=fields).status == 200
    assert endpoint.ask("SELECT currentDatabase()", fields=fields).body.decode().strip() == store.database
    assert endpoint.ask("CREATE TEMPORARY TABLE t (a UInt8)", fields=fields).code == 164


def test_the_result_of_a_database_named_by_both_is_that_of_the_url(endpoint: Endpoint) -> None:
    answer = endpoint.ask("SELECT currentDatabase()", fields={"database": "system"}, headers={"X-ClickHouse-Database": "nowhere"})
    assert answer.body == b"system\n"


def test_a_format_named_by_both_is_that_of_the_url(endpoint: Endpoint) -> None:
    assert endpoint.ask("SELECT 'a'", fields={"default_format": "CSV"}, headers={"X-ClickHouse-Format": "JSON"}).body == b'"a"\n'


def test_external_data_is_refused(endpoint: Endpoint) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="rows"; filename="rows"\r\n\r\n1\r\n--x--\r\n'
    answer = endpoint.ask(body, fields={"query": "SELECT * FROM rows"}, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert (answer.status, answer.code) == (501, 48)


@pytest.mark.parametrize(("path", "body"), [("/ping", b"Ok.\n"), ("/replicas_status", b"Ok.\n"), ("/", b"Ok.\n")])
def test_health_checks_are_answered(endpoint: Endpoint, path: str, body: bytes) -> None:
    answer = endpoint.ask(method="GET", path=path)
    assert (answer.status, answer.body) == (200, body)


def test_ping_tells_that_there_is_no_api_here(endpoint: Endpoint) -> None:
    assert endpoint.ask(method="GET", path="/ping").headers["x-spanhouse-api"] == "off"


def test_head_has_the_headers_and_no_body(endpoint: Endpoint) -> None:
    answer = endpoint.ask(method="HEAD", fields={"query": "SELECT 1"})
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "2")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nothing", 404), ("GET", "/ping/", 404), ("PUT", "/", 405), ("DELETE", "/", 405), ("OPTIONS", "/", 405)]
)
def test_other_paths_and_methods_are_refused_in_one_line(endpoint: Endpoint, method: str, path: str, status: int) -> None:
    answer = endpoint.ask(method=method, path=path)
    assert (answer.status, answer.body.count(b"\n")) == (status, 1)


def test_with_a_rule_for_access_only_who_passes_it_may_read(store: TestStore) -> None:
    def authorize(headers: Mapping[str, str]) -> str | None:
        return "someone" if headers.get("x-clickhouse-key") == "right" else None

    with listening(store.database, authorize=authorize) as endpoint:
        assert endpoint.ask("SELECT 1", headers={"X-ClickHouse-Key": "right"}).body == b"1\n"
        for headers in ({}, {"X-ClickHouse-Key": "wrong"}):
            answer = endpoint.ask("SELECT 1", headers=headers)
            assert (answer.status, answer.code) == (401, 516)
            assert answer.headers["www-authenticate"] == 'Basic realm="spanhouse"'
            assert answer.body.count(b"\n") == 1
        assert endpoint.ask(method="GET", path="/ping").status == 200


def test_with_a_rule_for_access_the_server_may_go_by_any_name(store: TestStore) -> None:
    with listening(store.database, authorize=lambda _: "someone") as endpoint:
        assert endpoint.ask("SELECT 1", headers={"Host": "spanhouse.internal:8123"}).body == b"1\n"
