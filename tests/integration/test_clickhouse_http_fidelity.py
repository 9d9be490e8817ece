"""The engine's formatted statement runs in place of the client's: both must mean the same, to the column names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chdb
import pytest
from tests.support import otlp
from tests.support.store import TestStore, engine_directory

from spanhouse.exporter.clickhouse_http.reader import Reader

STATEMENTS = [
    "SELECT 1 + 1 AS x, -1, 1.5, 1e-7, 0x10, 'it''s', NULL, true, inf, 18446744073709551615, -9223372036854775808, 1.10::Decimal(10, 2), 0.1, 1e300",
    "SELECT 'tab\\t nl\\n bs\\\\ q\\' é 😀', x'4142', $$heredoc ' \\ $$, '-- { echo }', '/* */', ';'",
    'SELECT 1 AS `a b`, 2 AS "c`d", 3 AS e -- a comment',
    "SELECT /* one */ 1 /* two */ + /* three */ 2",
    "SELECT SpanName, count() FROM otel_traces GROUP BY ALL ORDER BY ALL",
    "SELECT SpanName, count() AS n FROM otel_traces GROUP BY SpanName WITH ROLLUP HAVING n > 0 ORDER BY n DESC, SpanName LIMIT 5",
    "SELECT SpanName, ServiceName, count() FROM otel_traces GROUP BY GROUPING SETS ((SpanName), (ServiceName)) ORDER BY 1, 2",
    "SELECT sum(number) OVER (PARTITION BY number % 2 ORDER BY number ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM numbers(5) ORDER BY number",
    "SELECT number, row_number() OVER w FROM numbers(5) WINDOW w AS (ORDER BY number DESC) ORDER BY number",
    "SELECT number FROM numbers(9) QUALIFY row_number() OVER (ORDER BY number DESC) = 1",
    "SELECT count(DISTINCT number % 3), countIf(number > 2), quantiles(0.5, 0.9)(number), count() FILTER (WHERE number > 1) FROM numbers(10)",
    "WITH (x, y) -> x + y AS add SELECT add(1, 2), arrayMap(x -> x * 2, [1, 2]), arrayFold((acc, x) -> acc + x, [1, 2], toInt64(0))",
    "WITH a AS (SELECT 1 AS n), b AS (SELECT n + 1 AS m FROM a) SELECT n, m, (SELECT max(m) FROM b) FROM a, b",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT sum(n) FROM r",
    "WITH a AS (SELECT 1 AS n) SELECT * FROM (SELECT n FROM a UNION ALL SELECT n + 1 FROM a) ORDER BY n",
    "SELECT * FROM (SELECT 1 AS n UNION ALL SELECT 2 UNION DISTINCT SELECT 2) ORDER BY n",
    "SELECT number FROM (SELECT number FROM numbers(5) EXCEPT SELECT 2 INTERSECT SELECT 2) ORDER BY number",
    "(SELECT 1) UNION ALL (SELECT 1 LIMIT 1)",
    "SELECT 1 IN (1, 2), 1 NOT IN (SELECT 1), (1, 'x') IN ((1, 'x')), 'x' IN ('x'), 1 IN 1, EXISTS(SELECT 1), 1 = ANY (SELECT 1)",
    "SELECT 5 BETWEEN 1 AND 9, NOT 1, 1 AND 0 OR 1, 'ab' LIKE 'a%', 'ab' NOT ILIKE 'A%', NULL IS NULL, 1 ? 2 : 3, -(-1), 7 DIV 2, 7 % 4, 'a' || 'b'",
    "SELECT CASE WHEN 1 THEN 'a' ELSE 'b' END, CASE 2 WHEN 1 THEN 'x' WHEN 2 THEN 'y' END",
    "SELECT CAST(1 AS String), CAST('2', 'UInt8'), '3'::UInt8 + 1, [1, 2]::Array(UInt8), -5::Int8, 1::Enum8('a' = 1), '{}'::JSON",
    "SELECT [1, 2][1], (1, 'a').2, map('a', 1)['a'], tuple(1, 2).1, [[1], [2, 3]], array()",
    "SELECT INTERVAL 1 DAY + toDate('2024-01-01'), DATE '2024-01-01', EXTRACT(YEAR FROM toDate('2024-01-01')), TRIM(BOTH 'a' FROM 'aba')",
    "SELECT toDateTime('2024-01-01 10:00:00', 'UTC') AT TIME ZONE 'Asia/Tokyo', date_trunc('hour', toDateTime('2024-01-01 10:11:12', 'UTC'))",
    "SELECT * EXCEPT (b), * REPLACE (b + 1 AS b) EXCEPT (a), * APPLY(x -> toString(x)), COLUMNS('^a') FROM (SELECT 1 AS a, 2 AS b)",
    "SELECT a.number, b.number FROM numbers(3) AS a LEFT JOIN numbers(2) AS b ON a.number = b.number ORDER BY 1",
    "SELECT number, x FROM numbers(2) ARRAY JOIN [1, 2] AS x ORDER BY 1, 2",
    "SELECT DISTINCT ON (number % 2) number FROM numbers(5) ORDER BY number % 2, number",
    "SELECT number FROM numbers(10) ORDER BY number DESC NULLS FIRST LIMIT 2 OFFSET 1",
    "SELECT number FROM numbers(10) ORDER BY number LIMIT 1 BY number % 3 LIMIT 2 WITH TIES",
    "SELECT number FROM (SELECT 1 AS number UNION ALL SELECT 4) ORDER BY number WITH FILL FROM 0 TO 6 STEP 2",
    "SELECT * FROM VALUES((1, 'x'), (2, 'y'))",
    "SELECT p, q FROM (VALUES (1, 'x'), (2, 'y')) AS v (p, q)",
    "SELECT * FROM (VALUES ('x'), ('y'))",
    "FROM numbers(2) SELECT number",
    "SELECT SpanAttributes['a'], ResourceAttributes['service.name'], `Events.Name`, length(Events.Name) FROM otel_traces ORDER BY SpanId",
    "SELECT TraceId != '', State, Metadata['app_version'], Tags['mlflow.traceName'] FROM traces",
    "SELECT sumMap(map('a', 1)), finalizeAggregation(sumState(1)), toTypeName(sumState(1)), any(1) RESPECT NULLS",
    "SELECT count() FROM otel_traces WHERE TraceId IN (SELECT TraceId FROM traces WHERE State = 'OK')",
]


@pytest.fixture(scope="module")
def store(module_store: TestStore) -> TestStore:
    module_store.ingest(otlp.trace(resource={"service.name": "tests", "app_version": "1"}, attributes={"a": "b"}, children=3))
    return module_store


@pytest.fixture(scope="module")
def reader(store: TestStore) -> Iterator[Reader]:
    made = Reader.open(engine_directory(), store.database)
    yield made
    made.close()


@pytest.fixture(scope="module")
def engine(store: TestStore) -> Iterator[Any]:
    connection = chdb.connect(str(engine_directory()))
    connection.query("USE {database:Identifier}", params={"database": store.database})
    yield connection
    connection.close()


def answer(body: bytes) -> tuple[Any, Any]:
    parsed = json.loads(body)
    return parsed["meta"], parsed["data"]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_gives_the_columns_and_rows_that_the_engine_gives_for_its_own_text(reader: Reader, engine: Any, statement: str) -> None:
    expected = answer(engine.query(statement, "JSONCompact").bytes())
    assert answer(reader.query(statement.encode(), output_format="JSONCompact").body) == expected


@pytest.mark.parametrize("statement", STATEMENTS)
def test_taking_settings_out_of_the_text_changes_nothing_else(reader: Reader, engine: Any, statement: str) -> None:
    configured = f"{statement}\nSETTINGS max_threads = 1, session_timezone = 'Asia/Tokyo'"
    expected = answer(engine.query(configured, "JSONCompact").bytes())
    assert answer(reader.query(configured.encode(), output_format="JSONCompact").body) == expected


def test_the_store_may_be_named_by_a_link(store: TestStore, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(engine_directory())
    reader = Reader.open(link, store.database)
    try:
        assert reader.query(b"SELECT count() FROM traces").body == b"1\n"
    finally:
        reader.close()
