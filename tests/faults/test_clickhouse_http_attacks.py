"""Attacks of a client that tries to write, to read files, to reach the network or to stall the engine."""

from __future__ import annotations

import http.client
import json
import random
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import otlp
from tests.support.clickhouse_http import Endpoint, listening
from tests.support.store import TestStore

from spanhouse.exporter.clickhouse_http.query_settings import QueryLimits

SECRET = "open sesame"

ATTACKS: dict[str, str] = json.loads((Path(__file__).parent / "clickhouse_http_attacks.json").read_text(encoding="utf-8"))
"""Attacks by their aim; braces name the words of ``Target.words``."""

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
        """True if the engine has connected to the decoy."""
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


def test_there_are_enough_of_them() -> None:
    assert len(set(ATTACKS.values())) >= 150


WRAPPINGS = (
    "{}",
    "({})",
    "EXPLAIN {}",
    "SELECT * FROM ({})",
    "SELECT 1 UNION ALL {}",
    "{} UNION ALL SELECT 1",
    "WITH a AS ({}) SELECT * FROM a",
    "SELECT ({})",
    "SELECT 1 WHERE 1 IN ({})",
    "{} FORMAT JSONEachRow",
    "{} SETTINGS max_threads = 1",
    "DESCRIBE ({})",
    "{};",
    "{} -- ;",
    "/* SELECT 1 */ {}",
)


def _disguised(source: random.Random, statement: str) -> str:
    """A statement with other blanks and letters where the engine takes them, here and there with a word more or less, in something else."""
    words = re.split(r"( )", statement)
    for index, word in enumerate(words):
        chance = source.random()
        if word == " " and chance < 0.3:
            words[index] = source.choice(["\n", "\t", "/**/", "/* x */", " -- x\n", "  "])
        elif word.isupper() and chance < 0.3:
            words[index] = word.lower()
        elif chance < 0.02:
            words[index] = ""
        elif chance < 0.04:
            words[index] = f"{word} {source.choice(words)}"
    for _ in range(source.randrange(3)):
        words = [source.choice(WRAPPINGS).replace("{}", "".join(words))]
    return "".join(words)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(source=st.randoms(use_true_random=False), attacks=st.lists(st.sampled_from(sorted(ATTACKS)), min_size=8, max_size=8))
def test_a_disguise_makes_no_attack_work(target: Target, source: random.Random, attacks: list[str]) -> None:
    for attack in attacks:
        statement = _disguised(source, ATTACKS[attack].format(**target.words))
        answer = target.endpoint.ask(statement, fields=target.fields)
        assert SECRET not in answer.body.decode(errors="replace"), statement
        assert answer.code != 1002, statement
        assert not target.out.exists(), statement
        assert not target.was_called(), statement
    assert target.store.rows("SELECT count() AS n FROM otel_traces") == [{"n": 3}]
    assert target.store.rows("SELECT count() AS n FROM trace_tags") == [{"n": 0}]


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
    with listening(store.database, limits=QueryLimits(concurrent_queries=1, waiting_queries=1)) as endpoint:
        for _ in range(5):
            connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=60)
            connection.putrequest("POST", "/")
            connection.putheader("Content-Length", "100")
            connection.endheaders(b"SELECT")
            connection.close()
        answers = (endpoint.ask("SELECT 1") for _ in range(1000))
        assert any(answer.body == b"1\n" for answer in answers)
