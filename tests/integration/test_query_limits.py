"""What bounds a client's statements: time, memory, another thread that ends them, and the asyncio client that does so for a task."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from tests.support import otlp
from tests.support.serve import Serve
from tests.support.store import TestStore

from spanhouse.query import AsyncTraceClient, FilterError, Page, StoreUnavailableError, TraceClient
from spanhouse.query.async_client import AsyncMatches
from spanhouse.query.sql.statement import Statement

# Two ranges, each number of one beside each of the other: hours of work, of which every block can be ended.
ENDLESS = Statement(
    "SELECT count() FROM (SELECT arrayJoin(range(1000000)) AS a) AS one, (SELECT arrayJoin(range(1000000)) AS b) AS other WHERE cityHash64(a, b) = 7",
    {},
)
LARGE = Statement("SELECT length(arrayMap(x -> toString(x), range(1000000)))", {})


@pytest.fixture(params=["embedded", "serve"])
def dsn(request: pytest.FixtureRequest) -> str:
    found: TestStore | Serve = request.getfixturevalue("store" if request.param == "embedded" else "serve")
    return found.dsn


def _failure(work: Callable[[], object], failures: list[Exception]) -> None:
    try:
        work()
    except Exception as error:  # noqa: BLE001  whatever it is, the test looks at it
        failures.append(error)


def test_a_statement_that_another_thread_cancels_ends_and_the_client_goes_on(dsn: str) -> None:
    with TraceClient(dsn) as client:
        client.cancel()  # there is nothing to end
        failures: list[Exception] = []
        waiting = threading.Thread(target=_failure, args=(lambda: client._connection.run(ENDLESS), failures))
        waiting.start()
        while client._connection._ended.is_set():
            waiting.join(0.001)
        client.cancel()
        waiting.join()
        (failure,) = failures
        assert isinstance(failure, StoreUnavailableError)
        assert str(failure) == "the query was cancelled"
        assert client.count("name = 'nobody has this name'") == 0


@pytest.mark.parametrize(
    ("limit", "value", "statement", "said"), [("timeout_seconds", 1, ENDLESS, "took too long"), ("memory_bytes", 4_000_000, LARGE, "too much memory")]
)
def test_a_statement_beyond_its_limits_fails_with_a_line_that_names_the_limit(
    dsn: str, limit: str, value: int, statement: Statement, said: str
) -> None:
    with TraceClient(dsn, **{limit: value}) as client, pytest.raises(StoreUnavailableError, match=f"{said}.*`{limit}`"):
        client._connection.run(statement)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "5", 2**63])
@pytest.mark.parametrize("limit", ["timeout_seconds", "memory_bytes"])
def test_a_limit_that_is_none_is_the_users_mistake(store: TestStore, limit: str, value: object) -> None:
    with pytest.raises(FilterError, match=f"{limit} is a whole number above 0"):
        TraceClient(store.dsn, **{limit: value})  # type: ignore[arg-type]


def test_edits_are_not_bounded_by_the_limits_of_searches(store: TestStore) -> None:
    trace_id = "0" * 31 + "1"
    with TraceClient(store.dsn, timeout_seconds=30) as client:
        client.set_trace_tag(trace_id, "a", "b")
    assert store.execute("SELECT Value FROM trace_tags") == [("b",)]


def test_the_asyncio_client_gives_what_the_other_gives(store: TestStore) -> None:
    store.ingest(*[otlp.trace(name=f"trace {number}", start_ns=10**18 + number * 10**6) for number in range(250)])

    async def ask() -> None:
        async with AsyncTraceClient(store.dsn) as client:
            page = await client.search_traces(max_results=2, order_by=["timestamp_ms"])
            assert isinstance(page, Page)
            assert [trace.info.name for trace in page] == ["trace 0", "trace 1"]
            assert page.token is not None
            matches = await client.search_traces(filter_string="name LIKE 'trace 1%'")
            assert isinstance(matches, AsyncMatches)
            assert await matches.count() == await client.count("name LIKE 'trace 1%'") == 111
            assert len([trace async for trace in matches]) == 111
            everything = await client.search_traces()
            assert isinstance(everything, AsyncMatches)
            assert len({trace.info.trace_id async for trace in everything}) == 250
            found = await client.get_trace(page[0].info.trace_id)
            assert found is not None
            assert found.data.spans == page[0].data.spans
            with pytest.raises(FilterError, match="did you mean 'status'"):
                await client.search_traces(filter_string="stat = 'OK'")

    asyncio.run(ask())


def test_a_task_that_is_cancelled_ends_its_statement_and_the_next_one_runs(dsn: str) -> None:
    async def ask() -> None:
        async with AsyncTraceClient(dsn) as client:
            begun = asyncio.Event()
            loop = asyncio.get_running_loop()

            def work() -> None:
                loop.call_soon_threadsafe(begun.set)
                client._client._connection.run(ENDLESS)

            task = asyncio.create_task(client._run(work))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await client.count("name = 'nobody has this name'") == 0

    asyncio.run(ask())
