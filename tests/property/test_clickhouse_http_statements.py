"""Whatever text comes in, the endpoint answers, and only what reads is run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support import otlp
from tests.support.store import TestStore, engine_directory

from spanhouse.exporter.clickhouse_http.endpoint import ClickHouseHttp
from spanhouse.exporter.clickhouse_http.reader import Reader

READS = ("SELECT ", "WITH ", "(", "EXPLAIN ", "SHOW ", "DESCRIBE TABLE ", "EXISTS ", "USE ")
"""First words of statements that only read, as the engine's formatter writes them."""

VOCABULARY = """
SELECT FROM WHERE WITH AS UNION ALL EXCEPT INTERSECT GROUP BY ORDER LIMIT FORMAT SETTINGS INTO OUTFILE VALUES INSERT TABLE FUNCTION CREATE
DROP ALTER DELETE TRUNCATE OPTIMIZE SYSTEM SET USE SHOW TABLES DESCRIBE EXISTS EXPLAIN AST SYNTAX EXECUTE PARALLEL TEMPORARY VIEW DATABASE
JOIN ON USING IN NOT ARRAY APPLY REPLACE COLUMNS CASE WHEN THEN END RECURSIVE traces otel_traces system.one system.users numbers(3) file url
sleep(1) count() arrayMap x -> x + 1 'a' '/etc/hostname' `/etc/hostname` "x" 1 0 * , ; ( ) [ ] { } = . :: -- /* */ JSON Template CSV \\ \\n
readonly max_threads {p:Identifier} {s:String}
"""
WORDS = st.sampled_from([*VOCABULARY.split(), "\n", "\t", "\0"])
SENTENCES = st.lists(WORDS, max_size=25).map(" ".join)
MUTATIONS = st.tuples(
    st.sampled_from(["SELECT * FROM traces", "DESCRIBE TABLE traces", "EXPLAIN SELECT 1", "SHOW TABLES", "WITH a AS (SELECT 1) SELECT * FROM a"]),
    SENTENCES,
    st.integers(0, 40),
).map(lambda parts: parts[0][: parts[2]] + " " + parts[1] + " " + parts[0][parts[2] :])
TEXTS = st.one_of(SENTENCES, MUTATIONS, st.text(max_size=80)).map(lambda text: text.encode(errors="replace"))


@dataclass
class Desk:
    """The application, called as a server calls it."""

    app: ClickHouseHttp
    store: TestStore

    def ask(self, body: bytes, fields: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        sent: list[dict[str, Any]] = []

        messages = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> dict[str, Any]:
            if (message := next(messages, None)) is not None:
                return message
            return await asyncio.Future()  # the client stays

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/", "query_string": urlencode(fields).encode(), "headers": [], "server": ("127.0.0.1", 1)}
        asyncio.run(self.app(scope, receive, send))
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], headers, sent[1]["body"]


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    store = TestStore()
    store.ingest(otlp.trace())
    reader = Reader.open(engine_directory(), store.database)
    app = ClickHouseHttp(reader)
    yield Desk(app, store)
    app.close()
    reader.close()
    store.close()


def state(desk: Desk) -> list[dict[str, Any]]:
    return desk.store.rows(
        "SELECT (SELECT count() FROM otel_traces) AS spans, (SELECT count() FROM system.tables WHERE database = currentDatabase()) AS tables"
    )


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(text=TEXTS, name=st.sampled_from(["traces", "/etc/hostname", "file", "x"]))
@example(text=b"", name="x")
@example(text=b"SELECT 1 -- { serverError 1 }", name="x")
@example(text=b"SELECT arrayMap({p:Identifier}, ['/etc/hostname'])", name="file")
@example(text=b"exit", name="x")
@example(text=b"WITH a AS (SELECT 1) INSERT INTO otel_traces (TraceId) SELECT '1'", name="x")
def test_any_text_is_answered_and_nothing_but_reading_succeeds(desk: Desk, text: bytes, name: str) -> None:
    status, headers, body = desk.ask(text, {"param_p": name, "param_s": "a", "max_execution_time": "1", "max_result_rows": "1000"})
    assert status != 500 or headers["x-clickhouse-exception-code"] != "1002"
    assert headers["content-length"] == str(len(body))
    if status == 200 and text.strip():
        ((canonical,),) = desk.store.client.query("SELECT formatQuerySingleLine({text:String})", parameters={"text": text.decode()}).result_rows
        assert canonical.startswith(READS)
        assert " INTO OUTFILE " not in canonical
        assert state(desk) == [{"spans": 3, "tables": len(desk.store.rows("SHOW TABLES"))}]
    elif status != 200:
        assert int(headers["x-clickhouse-exception-code"]) > 0
        assert body.startswith(b"Code: ")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(text=st.text(max_size=60))
def test_any_text_comes_back_unchanged_as_a_literal_and_as_a_parameter(desk: Desk, text: str) -> None:
    clean = text.encode(errors="replace").decode().replace("\0", "")
    escaped = clean.replace("\\", "\\\\").replace("'", "\\'")
    assert desk.ask(f"SELECT '{escaped}' FORMAT RawBLOB".encode(), {})[2].decode() == clean
    parameter = clean.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    assert desk.ask(b"SELECT {s:String} FORMAT RawBLOB", {"param_s": parameter})[2].decode() == clean


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(fields=st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=5))
def test_any_fields_are_answered(desk: Desk, fields: dict[str, str]) -> None:
    clean = {name.encode(errors="replace").decode(): value.encode(errors="replace").decode() for name, value in fields.items()}
    status, headers, _ = desk.ask(b"SELECT 1 AS a", {name: value for name, value in clean.items() if name != "query"})
    assert status == 200 or int(headers["x-clickhouse-exception-code"]) != 1002
