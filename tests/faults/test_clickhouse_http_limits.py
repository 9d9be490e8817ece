"""Queries and requests that want too much, and many at once."""

from __future__ import annotations

import gzip
import http.client
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

import pytest
from tests.support import otlp
from tests.support.clickhouse_http import Answer, Endpoint, listening
from tests.support.store import TestStore

from spanhouse.exporter.clickhouse_http.query_settings import QueryLimits

ENDLESS = "SELECT count() FROM system.numbers WHERE NOT ignore(sipHash64(number))"


def hold(endpoint: Endpoint, headers: Mapping[str, str] | None = None) -> Answer:
    """Take a place until the time of a query is over; one that another query happens to have is asked for again."""
    while True:
        answer = endpoint.ask(ENDLESS, headers=dict(headers or {}))
        if answer.code != 202:
            return answer


@pytest.fixture(scope="module")
def store(module_store: TestStore) -> TestStore:
    module_store.ingest(otlp.trace())
    return module_store


@pytest.fixture(scope="module")
def narrow(store: TestStore) -> Iterator[Endpoint]:
    limits = QueryLimits(query_seconds=1, query_memory_bytes=64 << 20, result_bytes=1 << 20, statement_bytes=10_000)
    with listening(store.database, limits=limits) as made:
        yield made


@pytest.mark.parametrize(
    ("statement", "code", "status"),
    [
        (ENDLESS, 159, 408),
        ("SELECT groupArray(number) FROM numbers(1000000000)", 241, 500),
        ("SELECT number FROM numbers(1000000)", 396, 500),
        ("SELECT 1 AS a" + "," * 10_000, 229, 413),
        ("SELECT '" + "x" * 10_000 + "'", 229, 413),
        ("INSERT INTO otel_traces (TraceId) FORMAT TSV\n" + "x\n" * 10_000, 164, 403),
    ],
    ids=["time", "memory", "result", "statement", "literal", "insert"],
)
def test_a_query_beyond_a_limit_is_stopped_with_its_number(narrow: Endpoint, statement: str, code: int, status: int) -> None:
    answer = narrow.ask(statement)
    assert (answer.code, answer.status) == (code, status)
    assert narrow.ask("SELECT 1").body == b"1\n"


LARGE_STATE = "SELECT length(groupArray(number)) FROM numbers(4000000)"
"""Takes more than 32 MiB, none of which can go to the disk."""


def test_a_query_that_needs_more_than_it_begins_with_begins_anew_with_all_the_memory(store: TestStore) -> None:
    with listening(store.database, limits=QueryLimits(memory_bytes=256 << 20, concurrent_queries=8)) as endpoint:
        for output_format in ("TSV", "JSONCompactColumns"):  # block by block, and through a file
            answer = endpoint.ask(f"{LARGE_STATE} FORMAT {output_format}")
            assert (answer.status, b"4000000" in answer.body) == (200, True), answer.body
        assert endpoint.ask(LARGE_STATE, fields={"max_memory_usage": str(16 << 20)}).code == 241
        assert endpoint.ask("SELECT groupArray(number) FROM numbers(1000000000)").code == 241


@pytest.mark.parametrize(
    "clause", ["DISTINCT toString(number) AS k FROM n", "toString(number) AS k FROM n GROUP BY k", "toString(number) AS k FROM n ORDER BY k"]
)
def test_what_is_grouped_sorted_or_made_distinct_goes_to_the_disk_beyond_a_part_of_the_memory(store: TestStore, clause: str) -> None:
    statement = f"WITH n AS (SELECT number FROM numbers(4000000)) SELECT count(), uniqCombined(cityHash64(k)) > 0 FROM (SELECT {clause})"
    with listening(store.database, limits=QueryLimits(memory_bytes=128 << 20)) as endpoint:
        assert endpoint.ask(statement).body == b"4000000\t1\n"


def test_a_query_that_needs_all_the_memory_runs_alone(store: TestStore) -> None:
    limits = QueryLimits(memory_bytes=128 << 20, concurrent_queries=8, query_seconds=3, wait_seconds=0.5)
    endless = "SELECT length(groupArray(number)), sleepless FROM (SELECT number, 1 AS sleepless FROM numbers(4000000)) GROUP BY sleepless"
    slow = f"{endless} UNION ALL SELECT count(), 1 FROM system.numbers WHERE NOT ignore(sipHash64(number))"
    with listening(store.database, limits=limits) as endpoint, ThreadPoolExecutor(2) as threads:
        answers = [future.result().code for future in [threads.submit(endpoint.ask, slow) for _ in range(2)]]
    assert sorted(code or 0 for code in answers) == [159, 202]


def test_a_query_that_wants_more_than_all_queries_may_have_is_told_what_to_do(store: TestStore) -> None:
    want = "SELECT length(groupArray(number)) FROM numbers(100000000)"
    with listening(store.database, limits=QueryLimits(memory_bytes=64 << 20)) as endpoint:
        answer = endpoint.ask(want)
        assert (answer.status, answer.code) == (500, 241)
        assert b"maximum: 64.00 MiB" in answer.body
        assert b"narrow it" in answer.body
        assert b"start serve with --query-memory-bytes above 67108864 (MEMORY_LIMIT_EXCEEDED)" in answer.body
        assert answer.body.count(b"\n") == 1
        own = endpoint.ask(want, fields={"max_memory_usage": str(16 << 20)})
        assert (own.code, b"--query-memory-bytes" in own.body) == (241, False)
    with listening(store.database, limits=QueryLimits(memory_bytes=64 << 20, query_memory_bytes=64 << 20)) as endpoint:
        answer = endpoint.ask(want)
        assert (answer.code, b"narrow it" in answer.body, b"--query-memory-bytes" in answer.body) == (241, True, False)


def test_queries_run_in_the_order_in_which_they_came(store: TestStore) -> None:
    arrivals: SimpleQueue[str] = SimpleQueue()

    def authorize(headers: Mapping[str, str]) -> str:
        arrivals.put(headers["x-clickhouse-key"])
        return headers["x-clickhouse-key"]

    limits = QueryLimits(concurrent_queries=1, query_seconds=2, wait_seconds=60)
    with listening(store.database, limits=limits, authorize=authorize) as endpoint, ThreadPoolExecutor(13) as threads:

        def ask(statement: str, token: str) -> Future[Answer]:
            asked = threads.submit(endpoint.ask, method="GET", fields={"query": statement}, headers={"X-ClickHouse-Key": token})
            assert arrivals.get() == token
            return asked

        holding = ask(ENDLESS, "a")
        begun = [ask("SELECT toUnixTimestamp64Nano(now64(9))", token) for token in "aababcabcaaa"]
        assert holding.result().code == 159
        times = [int(one.result().body) for one in begun]
    assert times == sorted(times)


def test_a_query_that_the_engine_does_not_end_in_time_does_not_keep_others_out(store: TestStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spanhouse.exporter.clickhouse_http.reader._GRACE_SECONDS", 0.0)
    arrivals: SimpleQueue[str] = SimpleQueue()

    def authorize(headers: Mapping[str, str]) -> str:
        arrivals.put("one")
        return headers["x-clickhouse-key"]

    limits = QueryLimits(concurrent_queries=1, query_seconds=1, wait_seconds=60)
    with listening(store.database, limits=limits, authorize=authorize) as endpoint, ThreadPoolExecutor(1) as threads:
        # One call of a function, within which the engine does not look at the time.
        long = threads.submit(endpoint.ask, "SELECT hasAll(arrayConcat(range(300000), [0]), range(300000))", headers={"X-ClickHouse-Key": "long"})
        arrivals.get()
        assert endpoint.ask("SELECT 1", headers={"X-ClickHouse-Key": "short"}).body == b"1\n"
        assert not long.done()


def test_a_limit_can_not_be_lifted_from_the_url_or_the_text(narrow: Endpoint) -> None:
    assert narrow.ask(ENDLESS, fields={"max_execution_time": "3600"}).code == 159
    assert narrow.ask(ENDLESS + " SETTINGS max_execution_time = 3600").code == 159


def test_a_statement_of_65_mib_is_refused(narrow: Endpoint) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", narrow.port, timeout=60)
    try:
        connection.putrequest("POST", "/")
        connection.putheader("Content-Length", str(65 << 20))
        connection.endheaders()
        chunk = b" " * (1 << 20)
        for _ in range(65):
            connection.send(chunk)
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("x-clickhouse-exception-code")) == (413, "229")
    finally:
        connection.close()


def test_a_small_body_that_unpacks_to_a_statement_of_65_mib_is_refused(narrow: Endpoint) -> None:
    answer = narrow.ask(gzip.compress(b" " * (65 << 20)), headers={"Content-Encoding": "gzip"})
    assert (answer.status, answer.code) == (413, 229)


def test_many_at_once_each_get_their_own_answer(store: TestStore) -> None:
    with listening(store.database) as endpoint, ThreadPoolExecutor(16) as threads:

        def ask(number: int) -> bytes:
            fields = {"param_n": str(number), "max_threads": "1"} if number % 3 else {"param_n": str(number)}
            sql = "SELECT {n:UInt32}, count() FROM traces" if number % 2 else "SELECT {n:UInt32}, sum(number) FROM numbers({n:UInt32})"
            return endpoint.ask(sql, fields=fields).body

        answers = list(threads.map(ask, range(200)))
    expected = [b"%d\t%d\n" % (number, 1 if number % 2 else sum(range(number))) for number in range(200)]
    assert answers == expected


def test_a_query_that_finds_no_room_is_told_to_come_again(store: TestStore) -> None:
    with (
        listening(store.database, limits=QueryLimits(concurrent_queries=1, waiting_queries=1, wait_seconds=0.01, query_seconds=3)) as endpoint,
        ThreadPoolExecutor(1) as threads,
    ):
        held = threads.submit(hold, endpoint)
        answer = endpoint.ask("SELECT 1")
        while answer.status == 200 and not held.done():
            answer = endpoint.ask("SELECT 1")
        assert (answer.code, answer.status, answer.headers["retry-after"]) == (202, 503, "1")
        assert held.result().code == 159


def test_more_than_may_wait_are_refused_at_once(store: TestStore) -> None:
    with (
        listening(store.database, limits=QueryLimits(concurrent_queries=1, waiting_queries=1, wait_seconds=60, query_seconds=2)) as endpoint,
        ThreadPoolExecutor(4) as threads,
    ):
        answers = [future.result() for future in [threads.submit(endpoint.ask, ENDLESS) for _ in range(4)]]
    assert sorted(answer.code or 0 for answer in answers) == [159, 159, 202, 202]


def test_a_token_takes_a_part_of_the_places_only(store: TestStore) -> None:
    limits = QueryLimits(concurrent_queries=2, waiting_queries=8, queries_per_token=2, query_seconds=3)
    with (
        listening(store.database, limits=limits, authorize=lambda headers: headers["x-clickhouse-key"]) as endpoint,
        ThreadPoolExecutor(2) as threads,
    ):
        held = [threads.submit(hold, endpoint, {"X-ClickHouse-Key": "greedy"}) for _ in range(2)]
        answer = endpoint.ask("SELECT 1", headers={"X-ClickHouse-Key": "greedy"})
        while answer.status == 200 and not all(one.done() for one in held):
            answer = endpoint.ask("SELECT 1", headers={"X-ClickHouse-Key": "greedy"})
        assert (answer.code, answer.status) == (202, 503)
        assert b"2 of this token run or wait" in answer.body
        assert endpoint.ask("SELECT 1", headers={"X-ClickHouse-Key": "modest"}).body == b"1\n"
        assert {one.result().code for one in held} == {159}
        assert endpoint.ask("SELECT 1", headers={"X-ClickHouse-Key": "greedy"}).body == b"1\n"


def test_a_token_with_many_queries_does_not_keep_another_waiting_for_all_of_them(store: TestStore) -> None:
    arrivals: SimpleQueue[str] = SimpleQueue()

    def authorize(headers: Mapping[str, str]) -> str:
        arrivals.put(headers["x-clickhouse-key"])
        return headers["x-clickhouse-key"]

    limits = QueryLimits(concurrent_queries=2, query_seconds=2, wait_seconds=60)
    with listening(store.database, limits=limits, authorize=authorize) as endpoint, ThreadPoolExecutor(8) as threads:

        def ask(statement: str, token: str) -> Future[Answer]:
            asked = threads.submit(endpoint.ask, statement, headers={"X-ClickHouse-Key": token})
            assert arrivals.get() == token
            return asked

        many = [ask(ENDLESS, "greedy") for _ in range(7)]
        assert ask("SELECT 1", "modest").result().body == b"1\n"
        assert sum(one.done() for one in many) <= 4
        assert {one.result().code for one in many} == {159}


def test_a_table_made_later_can_be_read(store: TestStore) -> None:
    with listening(store.database) as endpoint:
        assert endpoint.ask("SELECT * FROM later").code == 60
        store.client.command("CREATE TABLE later (a UInt8) ENGINE = Memory")
        assert endpoint.ask("SELECT count() FROM later").body == b"0\n"


def test_rows_written_while_it_listens_are_read(store: TestStore) -> None:
    with listening(store.database) as endpoint:
        before = int(endpoint.ask("SELECT count() FROM traces").body)
        written = threading.Thread(target=store.ingest, args=(otlp.trace(),))
        written.start()
        written.join()
        assert int(endpoint.ask("SELECT count() FROM traces").body) == before + 1
