"""clickhouse-connect's ordinary HTTP client against the endpoint."""

from __future__ import annotations

from collections.abc import Iterator

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from tests.support import otlp
from tests.support.clickhouse_http import Endpoint, listening
from tests.support.store import TestStore


@pytest.fixture(scope="module")
def endpoint(module_store: TestStore) -> Iterator[Endpoint]:
    module_store.ingest(otlp.trace(name="first", children=3), otlp.trace(name="second", children=1, error=True))
    with listening(module_store.database) as made:
        yield made


@pytest.fixture
def client(endpoint: Endpoint) -> Iterator[Client]:
    made = clickhouse_connect.get_client(host="127.0.0.1", port=endpoint.port)
    yield made
    made.close()


def test_a_client_reads_rows_of_the_stores_tables(client: Client) -> None:
    assert client.query("SELECT Name, SpanCount FROM traces ORDER BY Name").result_rows == [("first", 4), ("second", 2)]


def test_every_column_of_the_tables_comes_through_in_the_native_format(client: Client) -> None:
    spans = client.query("SELECT * FROM otel_traces")
    assert len(spans.result_rows) == 6
    assert "ResourceAttributes" in spans.column_names


def test_parameters_are_bound_by_the_engine(client: Client) -> None:
    odd = "it's \\ a\ttab\nand {x:String} ; --"
    sql = "SELECT {text:String}, {numbers:Array(UInt8)}, {nothing:Nullable(String)}"
    rows = client.query(sql, parameters={"text": odd, "numbers": [1, 2], "nothing": None}).result_rows
    assert rows == [(odd, [1, 2], None)]


def test_parameters_too_long_for_a_url_are_sent_as_a_form(client: Client) -> None:
    long = "é\r\n--boundary" * 20_000
    assert client.query("SELECT {text:String}", parameters={"text": long}).result_rows == [(long,)]


def test_a_result_becomes_a_data_frame(client: Client) -> None:
    frame = client.query_df("SELECT Name, Duration FROM traces ORDER BY Name")
    assert list(frame["Name"]) == ["first", "second"]


def test_a_result_becomes_an_arrow_table(client: Client) -> None:
    assert client.query_arrow("SELECT Name FROM traces ORDER BY Name").to_pydict() == {"Name": ["first", "second"]}


def test_rows_and_bytes_can_be_read_as_streams(client: Client) -> None:
    with client.query_rows_stream("SELECT number FROM numbers(200000)") as rows:
        assert sum(row[0] for row in rows) == sum(range(200_000))
    with client.raw_stream("SELECT 1 AS a", fmt="JSONEachRow") as stream:
        assert b"".join(stream) == b'{"a":1}\n'


def test_a_command_gives_its_value(client: Client) -> None:
    assert client.command("SELECT count() FROM traces") == 2
    assert client.command("EXISTS TABLE traces") == 1
    assert client.command("EXISTS TABLE nothing") == 0


def test_a_probe_for_column_names_gets_them_without_rows(client: Client) -> None:
    assert client.query("SELECT TraceId, Duration FROM otel_traces LIMIT 0").column_names == ("TraceId", "Duration")


def test_the_stores_database_can_be_named(endpoint: Endpoint, module_store: TestStore) -> None:
    with clickhouse_connect.get_client(host="127.0.0.1", port=endpoint.port, database=module_store.database) as client:
        assert client.command("SELECT currentDatabase()") == module_store.database
        counted = client.query("SELECT count() FROM {database:Identifier}.traces", parameters={"database": module_store.database})
        assert counted.result_rows == [(2,)]


def test_the_system_database_can_be_named(endpoint: Endpoint) -> None:
    with clickhouse_connect.get_client(host="127.0.0.1", port=endpoint.port, database="system") as client:
        assert client.command("SELECT count() FROM one") == 1


def test_another_database_is_unknown(endpoint: Endpoint) -> None:
    with pytest.raises(DatabaseError) as caught:
        clickhouse_connect.get_client(host="127.0.0.1", port=endpoint.port, database="elsewhere")
    assert caught.value.code == 81


@pytest.mark.parametrize("compress", ["lz4", "gzip", "zstd", False])
def test_whatever_compression_the_client_prefers_it_reads_the_rows(endpoint: Endpoint, compress: str | bool) -> None:
    with clickhouse_connect.get_client(host="127.0.0.1", port=endpoint.port, compress=compress) as client:
        assert len(client.query("SELECT number FROM numbers(10000)").result_rows) == 10_000


def test_the_clients_errors_carry_the_engines_number(client: Client) -> None:
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE") as caught:
        client.query("SELECT * FROM nothing")
    assert caught.value.code == 60
    with pytest.raises(DatabaseError, match="SYNTAX_ERROR") as caught:
        client.query("SELEC 1")
    assert caught.value.code == 62


def test_an_insert_is_refused_and_nothing_is_written(client: Client, module_store: TestStore) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.insert("trace_notes", [["x"]], column_names=["a"], column_type_names=["String"])
    assert caught.value.code == 164
    with pytest.raises(DatabaseError) as caught:
        client.raw_insert("otel_traces", ["TraceId"], insert_block=b"x" * 3_000_000, fmt="TSV")
    assert caught.value.code == 164
    with pytest.raises(DatabaseError) as caught:
        client.command("INSERT INTO otel_traces (TraceId) VALUES ('x')")
    assert caught.value.code == 164
    assert module_store.rows("SELECT count() AS n FROM otel_traces") == [{"n": 6}]


def test_tables_can_not_be_made_or_dropped(client: Client, module_store: TestStore) -> None:
    for statement in (
        "CREATE TABLE mine (a Int8) ENGINE = Memory",
        "DROP TABLE otel_traces",
        "TRUNCATE TABLE otel_traces",
        "ALTER TABLE otel_traces DELETE WHERE 1",
    ):
        with pytest.raises(DatabaseError) as caught:
            client.command(statement)
        assert caught.value.code == 164
    assert module_store.rows("SELECT count() AS n FROM otel_traces") == [{"n": 6}]


def test_the_client_takes_the_endpoint_for_a_read_only_server(client: Client) -> None:
    assert client.server_settings["max_threads"].readonly == 1
