"""What a client might try in order to write, to read files, to reach the network or to stall the engine."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support import otlp
from tests.support.clickhouse_http import Endpoint, listening
from tests.support.store import TestStore

from spanhouse.exporter.clickhouse_http import Limits

SECRET = "open sesame"

ATTACKS = {
    "file as a table": "SELECT * FROM file('{secret}', 'LineAsString')",
    "file as a table, formatted oddly": "SELECT/**/*\nFROM\t`file`\n('{secret}', 'LineAsString')",
    "file as a function": "SELECT file('{secret}')",
    "file as a function, quoted": "SELECT `file`('{secret}')",
    "file by its bare name": "SELECT arrayMap(file, ['{secret}'])",
    "file by its bare name under an alias": "WITH file AS f SELECT arrayMap(f, ['{secret}'])",
    "file by its bare name in a parameter": "SELECT arrayMap({{name:Identifier}}, ['{secret}'])",
    "file in a lambda": "WITH x -> file(x) AS f SELECT f('{secret}')",
    "file applied to columns": "SELECT * APPLY file FROM (SELECT '{secret}')",
    "file in a lambda applied to columns": "SELECT * APPLY(x -> file(x)) FROM (SELECT '{secret}')",
    "file in place of a column": "SELECT * REPLACE (file('{secret}') AS number) FROM numbers(1)",
    "file in a table function's argument": "SELECT * FROM numbers(length(file('{secret}')))",
    "file in a structure": "SELECT a FROM VALUES('x String, a String ALIAS file(\\'{secret}\\')', 'y')",
    "file in a structure, in brackets": "SELECT a FROM values(('x String, a String ALIAS file(\\'{secret}\\')'), 'y')",
    "file in a structure by name": "WITH 'x String, a String ALIAS file(\\'{secret}\\')' AS s SELECT a FROM values(s, 'y')",
    "file in a structure in a parameter": "SELECT a FROM values({{structure:String}}, 'y')",
    "file in the structure of nothing": "SELECT a FROM null('x String, a String ALIAS file(\\'{secret}\\')')",
    "file in the structure of random rows": "SELECT a FROM generateRandom('x String, a String ALIAS file(\\'{secret}\\')') LIMIT 1",
    "file in the structure of inline data": "SELECT a FROM format(CSV, 'x String, a String ALIAS file(\\'{secret}\\')', 'y')",
    "file in a view": "SELECT * FROM view(SELECT file('{secret}'))",
    "file in a join": "SELECT 1 FROM numbers(1) AS a JOIN numbers(1) AS b ON a.number = b.number AND file('{secret}') != ''",
    "file in a window": "SELECT count() OVER (ORDER BY file('{secret}'))",
    "file in LIMIT": "SELECT 1 LIMIT length(file('{secret}'))",
    "file in SETTINGS of a subquery": "SELECT * FROM (SELECT 1 SETTINGS max_threads = 2)",
    "file in IN": "SELECT 'x' IN file('{secret}')",
    "file in the WITH of a union": "WITH (SELECT file('{secret}')) AS x SELECT 1 UNION ALL SELECT x",
    "file in EXPLAIN": "EXPLAIN SELECT file('{secret}')",
    "file in DESCRIBE": "DESCRIBE TABLE file('{secret}', 'LineAsString')",
    "file in DESCRIBE's subquery": "DESCRIBE (SELECT file('{secret}'))",
    "file in SHOW": "SHOW TABLES WHERE file('{secret}') != ''",
    "file in SHOW COLUMNS": "SHOW COLUMNS FROM traces WHERE file('{secret}') != ''",
    "path as a table": "SELECT * FROM `{secret}`",
    "path as a table, double quotes": 'SELECT * FROM "{secret}"',
    "path as a table, single quotes": "SELECT * FROM '{secret}'",
    "path as a table of default": "SELECT * FROM default.`{secret}`",
    "path as a table of the database": "SELECT * FROM {database}.`{secret}`",
    "path as a table in IN": "SELECT 'x' IN `{secret}`",
    "path as a table in a function form of IN": "SELECT in('x', `{secret}`)",
    "path as a table of default in IN": "SELECT 'x' NOT IN default.`{secret}`",
    "path as a table in a parameter": "SELECT * FROM {{path:Identifier}}",
    "path as a table of default in a parameter": "SELECT * FROM default.{{path:Identifier}}",
    "path as a table in a parameter of IN": "SELECT 'x' IN {{path:Identifier}}",
    "path as a table in a parameter of a function form of IN": "SELECT in('x', {{path:Identifier}})",
    "path with escapes in a parameter": "WITH traces AS (SELECT 1) SELECT * FROM {{escaped:Identifier}}",
    "path as a table in DESCRIBE": "DESCRIBE TABLE `{secret}`",
    "path as a table in SHOW CREATE": "SHOW CREATE TABLE default.`{secret}`",
    "path as a table in SHOW COLUMNS": "SHOW COLUMNS FROM `{secret}`",
    "path as a database in SHOW": "SHOW TABLES FROM `{secret}`",
    "path that WITH names within": 'WITH "{secret}" AS (SELECT * FROM "{secret}") SELECT * FROM "{secret}"',
    "path that another WITH names": 'SELECT * FROM (WITH "{secret}" AS (SELECT 1) SELECT 1) AS a, "{secret}"',
    "path that a union's second WITH names": 'SELECT * FROM "{secret}" UNION ALL (WITH "{secret}" AS (SELECT 1) SELECT * FROM "{secret}")',
    "path under a name that WITH gives twice": "WITH a AS (SELECT 1) SELECT * FROM (WITH a AS (SELECT * FROM a) SELECT * FROM a)",
    "path through loop": "SELECT * FROM loop(`{secret}`)",
    "path through merge": "SELECT * FROM merge('default', '.*')",
    "whether a file exists": "SELECT hasColumnInTable('default', '{secret}', 'c1')",
    "query text in a function": "SELECT * FROM eval('SELECT 1')",
    "url": "SELECT * FROM url('http://127.0.0.1:{port}/', 'LineAsString', 'a String')",
    "s3": "SELECT * FROM s3('http://127.0.0.1:{port}/bucket/key', 'CSV', 'a String')",
    "remote": "SELECT * FROM remote('127.0.0.1:{port}', system.one)",
    "cluster": "SELECT * FROM cluster('default', system.one)",
    "mysql": "SELECT * FROM mysql('127.0.0.1:{port}', 'a', 'b', 'c', 'd')",
    "executable": "SELECT * FROM executable('true', 'CSV', 'a String')",
    "python": "SELECT * FROM python('x')",
    "sqlite": "SELECT * FROM sqlite('{secret}', 'a')",
    "filesystem": "SELECT * FROM filesystem('/')",
    "dictionary": "SELECT dictGet('a', 'b', 1)",
    "language model": "SELECT aiGenerate('a', 'b')",
    "query plan as a table": "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT file('{secret}')))",
    "INTO OUTFILE": "SELECT 1 INTO OUTFILE '{out}'",
    "INTO OUTFILE, appending to the response": "SELECT 1 INTO OUTFILE '{out}' AND STDOUT FORMAT CSV",
    "INTO OUTFILE in EXPLAIN": "EXPLAIN SELECT 1 INTO OUTFILE '{out}'",
    "INTO OUTFILE in EXPLAIN AST": "EXPLAIN AST SELECT 1 INTO OUTFILE '{out}'",
    "INTO OUTFILE in SHOW": "SHOW TABLES INTO OUTFILE '{out}'",
    "INTO OUTFILE in DESCRIBE": "DESCRIBE TABLE traces INTO OUTFILE '{out}'",
    "INTO OUTFILE in EXISTS": "EXISTS TABLE nothing INTO OUTFILE '{out}'",
    "INTO OUTFILE with settings": "SELECT 1 INTO OUTFILE '{out}' FORMAT CSV SETTINGS max_threads = 1",
    "sleep": "SELECT sleep(3)",
    "sleep a row": "SELECT sleepEachRow(3) FROM numbers(10)",
    "SYSTEM": "SYSTEM SHUTDOWN",
    "SYSTEM in lower case": "system drop mark cache",
    "KILL": "KILL QUERY WHERE 1",
    "SET": "SET readonly = 0",
    "SET of a harmless setting": "SET max_threads = 1",
    "limits lifted at the end": "SELECT 1 SETTINGS max_execution_time = 0, readonly = 0",
    "limits lifted before FORMAT": "SELECT 1 SETTINGS readonly = 0 FORMAT JSON",
    "limits lifted by default": "SELECT 1 SETTINGS readonly = DEFAULT",
    "limits lifted within": "SELECT * FROM (SELECT 1 SETTINGS max_execution_time = 0)",
    "limits lifted in EXPLAIN": "EXPLAIN SELECT 1 SETTINGS readonly = 0",
    "limits lifted in DESCRIBE": "DESCRIBE TABLE traces SETTINGS readonly = 0",
    "a setting that names a file": "SELECT 1 SETTINGS output_format_schema = '{out}'",
    "a filter in a setting": "SELECT 1 SETTINGS additional_table_filters = {{'system.one': 'file(\\'{secret}\\') != \\'\\''}}",
    "two statements": "SELECT 1; DROP TABLE otel_traces",
    "two statements, the second hidden": "SELECT 1 /* ; */ ; /* SELECT */ DROP TABLE otel_traces -- x",
    "two statements after a format": "SELECT 1 FORMAT JSON; DROP TABLE otel_traces",
    "two statements after EXPLAIN AST": "EXPLAIN AST SELECT 1; DROP TABLE otel_traces",
    "statements in parallel": "SELECT 1 PARALLEL WITH DROP TABLE otel_traces",
    "INSERT": "INSERT INTO otel_traces (TraceId) VALUES ('x')",
    "INSERT of a SELECT": "INSERT INTO otel_traces (TraceId) SELECT 'x'",
    "INSERT into a file": "INSERT INTO FUNCTION file('{out}', 'CSV', 'a String') SELECT 'x'",
    "INSERT after WITH": "WITH a AS (SELECT 'x') INSERT INTO otel_traces (TraceId) SELECT * FROM a",
    "INSERT in EXPLAIN": "EXPLAIN INSERT INTO otel_traces (TraceId) SELECT 'x'",
    "INSERT in EXPLAIN PIPELINE": "EXPLAIN PIPELINE INSERT INTO otel_traces (TraceId) SELECT 'x'",
    "CREATE TEMPORARY TABLE": "CREATE TEMPORARY TABLE x (a Int8)",
    "CREATE TABLE": "CREATE TABLE x ENGINE = File(CSV, '{out}') AS SELECT 1",
    "CREATE FUNCTION": "CREATE FUNCTION f AS x -> file(x)",
    "CREATE USER": "CREATE USER x",
    "DROP": "DROP TABLE otel_traces",
    "TRUNCATE": "TRUNCATE TABLE otel_traces",
    "ALTER": "ALTER TABLE otel_traces DELETE WHERE 1",
    "DELETE": "DELETE FROM otel_traces WHERE 1",
    "UPDATE": "UPDATE otel_traces SET TraceId = '' WHERE 1",
    "OPTIMIZE": "OPTIMIZE TABLE otel_traces FINAL",
    "RENAME": "RENAME TABLE otel_traces TO x",
    "ATTACH": "ATTACH TABLE x FROM '{secret}' (a String) ENGINE = MergeTree ORDER BY a",
    "BACKUP": "BACKUP TABLE otel_traces TO File('{out}')",
    "GRANT": "GRANT ALL ON *.* TO default",
    "BEGIN": "BEGIN TRANSACTION",
    "EXECUTE AS": "EXECUTE AS x SELECT 1",
    "Template": "SELECT 1 FORMAT Template SETTINGS format_template_row = '{secret}'",
    "Template by itself": "SELECT 1 FORMAT Template",
    "Protobuf": "SELECT 1 AS a FORMAT Protobuf SETTINGS format_schema = '{secret}:M'",
    "AvroConfluent": "SELECT 1 FORMAT AvroConfluent",
    "CapnProto": "SELECT 1 FORMAT CapnProto",
    "a format in a function": "SELECT formatRow('Template', 1)",
    "a format that only the engine's bindings know": "SELECT 1 FORMAT Dataframe",
    "queries of others": "SELECT * FROM system.processes",
    "users": "SELECT * FROM system.users",
    "stack traces": "SELECT * FROM system.stack_trace",
    "server's settings": "SELECT getServerSetting('path')",
    "another database": "SELECT * FROM {other}.otel_traces",
    "another database in IN": "SELECT 'x' IN {other}.otel_traces",
    "another database in SHOW": "SHOW TABLES FROM {other}",
    "another database in USE": "USE {other}",
    "commands of the command line": "-- {{ echoOn }}\nexit",
    "a question to the command line's model": "?? what is in {secret}",
    "a meta command of the command line": "\\i {secret}",
}

REFUSED = {36, 46, 47, 48, 60, 62, 73, 81, 164, 456, 497}


class Target:
    """An endpoint with things to steal and to break."""

    def __init__(self, endpoint: Endpoint, *, store: TestStore, database: str, other: str, directory: Path, decoy: socket.socket) -> None:
        self.endpoint = endpoint
        self.store = store
        self.decoy = decoy
        self.secret = directory / "secret"
        self.out = directory / "out"
        self.words = {
            "secret": str(self.secret),
            "out": str(self.out),
            "port": str(decoy.getsockname()[1]),
            "database": database,
            "other": other,
        }
        self.fields = {
            "param_path": str(self.secret),
            "param_escaped": "\\x" + str(self.secret).encode().hex("x").replace("x", "\\x"),
            "param_name": "file",
            "param_structure": f"x String, a String ALIAS file('{self.secret}')",
        }

    def was_called(self) -> bool:
        """Whether someone has connected to the decoy."""
        try:
            self.decoy.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@pytest.fixture(scope="module", params=["a database of its own", "the engine's default database"])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with ExitStack() as stack:
        store, other = TestStore(), TestStore()
        stack.callback(store.close)
        stack.callback(other.close)
        store.ingest(otlp.trace())
        decoy = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        decoy.setblocking(False)
        directory = tmp_path_factory.mktemp("attacks")
        database = store.database if request.param == "a database of its own" else "default"
        endpoint = stack.enter_context(listening(database))
        made = Target(endpoint, store=store, database=database, other=other.database, directory=directory, decoy=decoy)
        made.secret.write_text(SECRET)
        yield made


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_and_has_no_effect(target: Target, attack: str) -> None:
    answer = target.endpoint.ask(ATTACKS[attack].format(**target.words), fields=target.fields)
    assert answer.code in REFUSED, answer.body
    assert answer.status in {400, 403, 404, 501}
    assert SECRET not in answer.body.decode()
    assert not target.out.exists()
    assert not target.was_called()
    assert target.store.rows("SELECT count() AS n FROM otel_traces") == [{"n": 3}]


def test_the_engine_alone_lets_some_of_them_through(target: Target) -> None:
    """The attacks are aimed well: readonly = 1 does not stop these."""
    client = target.store.client
    parameters = {"path": str(target.secret)}
    for statement in ("SELECT file({path:String}) SETTINGS readonly = 1", "SELECT arrayMap(file, [{path:String}])[1] SETTINGS readonly = 1"):
        assert client.query(statement, parameters=parameters).result_rows == [(SECRET,)]
    structured = f"SELECT a FROM VALUES('x String, a String ALIAS file(\\'{target.secret}\\')', 'y') SETTINGS readonly = 1"
    assert client.query(structured).result_rows == [(SECRET,)]
    written = target.out.with_suffix(".control")
    client.raw_query(f"SELECT 1 INTO OUTFILE '{written}' SETTINGS readonly = 1")
    assert written.exists()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("readonly", "0"),
        ("max_execution_time", "0"),
        ("max_memory_usage", "0"),
        ("max_result_bytes", "0"),
        ("result_overflow_mode", "break"),
        ("max_threads", "1000"),
    ],
)
def test_a_setting_in_the_url_never_lifts_a_limit(target: Target, setting: str, value: str) -> None:
    sql = "SELECT name, value FROM system.settings WHERE name = {name:String} FORMAT TSV"
    usual = target.endpoint.ask(sql, fields={"param_name": setting}).body
    asked = target.endpoint.ask(sql, fields={"param_name": setting, setting: value, "max_block_size": "100"})
    assert asked.status == 200
    assert asked.body == usual


def test_a_pattern_stays_a_pattern(target: Target) -> None:
    """SHOW is rewritten into a SELECT by the engine, its pattern with it."""
    escaped = f"x\\' OR file(\\'{target.secret}\\') != \\'"
    assert target.endpoint.ask(f"SHOW TABLES LIKE '{escaped}'").body == b""
    assert target.endpoint.ask(f"SHOW DATABASES LIKE '{escaped}'").body == b""


def test_a_setting_in_the_url_can_not_add_to_the_statement(target: Target) -> None:
    answer = target.endpoint.ask("SELECT timezone()", fields={"session_timezone": "UTC', readonly = '0"})
    assert answer.code == 36
    answer = target.endpoint.ask("SELECT 1", fields={"max_threads = 1, readonly": "0"})
    assert answer.body == b"1\n"


@pytest.mark.parametrize("query_id", ["a\r\nX-Evil: 1", "a\nb", "a\x00b", "é", "x" * 1000])
def test_a_query_id_can_not_split_a_header(target: Target, query_id: str) -> None:
    answer = target.endpoint.ask("SELECT 1", fields={"query_id": query_id})
    assert answer.code == 36
    assert "x-evil" not in answer.headers
    assert query_id not in answer.headers["x-clickhouse-query-id"]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT " + "(" * 5000 + "1" + ")" * 5000,
        "SELECT " + "[" * 900 + "]" * 900,
        "SELECT " + "abs(" * 400 + "1" + ")" * 400,
        "SELECT " + "(SELECT " * 150 + "1" + ")" * 150,
        "SELECT 1" + " + 1" * 3000,
        "SELECT * FROM " + "(SELECT * FROM " * 200 + "numbers(1)" + ")" * 200,
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT * FROM r",
        "SELECT " + "not " * 2000 + "1",
    ],
    ids=range(8),
)
def test_a_statement_nested_beyond_measure_gets_an_error(target: Target, statement: str) -> None:
    answer = target.endpoint.ask(statement)
    assert answer.code is not None
    assert answer.status in {400, 500}
    assert target.endpoint.ask("SELECT 1").body == b"1\n"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8123", "localhost.evil.example", "127.0.0.1.evil.example", "[::1].evil.example"])
@pytest.mark.parametrize("path", ["/", "/ping"])
def test_a_page_that_rebinds_its_host_name_to_this_machine_gets_nothing(target: Target, host: str, path: str) -> None:
    answer = target.endpoint.ask("SELECT 1", path=path, headers={"Host": host})
    assert (answer.status, answer.code) == (403, 497)
    assert answer.body.count(b"\n") == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_origin_gets_nothing(target: Target, headers: dict[str, str]) -> None:
    answer = target.endpoint.ask("SELECT 1", headers=headers)
    assert (answer.status, answer.code) == (403, 497)


def test_a_page_of_the_same_origin_and_the_machines_own_names_are_answered(target: Target) -> None:
    own = f"127.0.0.1:{target.endpoint.port}"
    for headers in (
        {"Origin": f"http://{own}", "Host": own},
        {"Host": "localhost"},
        {"Host": "[::1]:8123"},
        {"Host": "192.168.1.7:8123"},
        {"Sec-Fetch-Site": "none"},
    ):
        assert target.endpoint.ask("SELECT 1", headers=headers).body == b"1\n"


def test_a_broken_request_does_not_stop_the_listener(target: Target) -> None:
    with socket.create_connection(("127.0.0.1", target.endpoint.port)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nSELECT")
    assert target.endpoint.ask("SELECT 1").body == b"1\n"


def test_a_client_that_stops_midway_frees_its_place(store: TestStore) -> None:
    with listening(store.database, limits=Limits(concurrent_queries=1, waiting_queries=1)) as endpoint:
        for _ in range(5):
            connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=60)
            connection.putrequest("POST", "/")
            connection.putheader("Content-Length", "100")
            connection.endheaders(b"SELECT")
            connection.close()
        answers = (endpoint.ask("SELECT 1") for _ in range(1000))
        assert any(answer.body == b"1\n" for answer in answers)
