"""Requests that arrive together share an insert, and each learns its own fate."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest

from spanhouse.exporter.errors import ExportError, InvalidRequestError, UnavailableError
from spanhouse.exporter.ingest.batcher import Batcher
from spanhouse.exporter.otlp.check import CheckedRequest


class Inserts:
    """Records the inserts; each waits until it is let go."""

    def __init__(self, outcome: Callable[[bytes], ExportError | None] = lambda _: None) -> None:
        self.batches: list[list[bytes]] = []
        self.outcome = outcome
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, requests: Sequence[CheckedRequest]) -> Sequence[ExportError | None]:
        assert self.gate.wait(10)
        bodies = [request.body for request in requests]
        self.batches.append(list(bodies))
        return [self.outcome(body) for body in bodies]


def batcher(inserts: Inserts, *, linger_seconds: float = 0.02, max_spans: int = 1000, max_bytes: int = 10**6) -> Batcher:
    made = Batcher(inserts, linger_seconds=linger_seconds, max_spans=max_spans, max_bytes=max_bytes)
    made.start()
    return made


def one(number: int, *, spans: int = 1, size: int = 1) -> CheckedRequest:
    return CheckedRequest((b"%d" % number).ljust(size, b"."), spans)


def test_requests_that_arrive_together_share_an_insert() -> None:
    async def run() -> None:
        made = batcher(inserts)
        await asyncio.gather(*(made.add(one(number)) for number in range(50)))
        await made.close()

    inserts = Inserts()
    asyncio.run(run())
    assert len(inserts.batches) == 1
    assert sorted(inserts.batches[0]) == sorted(b"%d" % number for number in range(50))


def test_what_arrives_while_an_insert_runs_goes_into_the_next() -> None:
    async def run() -> None:
        made = batcher(inserts, linger_seconds=0)
        inserts.gate.clear()
        first = asyncio.create_task(made.add(one(0)))
        await asyncio.sleep(0.01)
        rest = [asyncio.create_task(made.add(one(number))) for number in range(1, 20)]
        await asyncio.sleep(0.01)
        inserts.gate.set()
        await asyncio.gather(first, *rest)
        await made.close()

    inserts = Inserts()
    asyncio.run(run())
    assert [len(batch) for batch in inserts.batches] == [1, 19]


@pytest.mark.parametrize(("max_spans", "max_bytes"), [(10, 10**6), (1000, 50)])
def test_a_batch_keeps_to_its_limits(max_spans: int, max_bytes: int) -> None:
    async def run() -> None:
        made = batcher(inserts, max_spans=max_spans, max_bytes=max_bytes)
        await asyncio.gather(*(made.add(one(number, spans=2, size=10)) for number in range(15)))
        await made.close()

    inserts = Inserts()
    asyncio.run(run())
    assert [len(batch) for batch in inserts.batches] == [5, 5, 5]


def test_a_request_larger_than_a_batch_is_inserted_by_itself() -> None:
    async def run() -> None:
        made = batcher(inserts, max_spans=10)
        await made.add(one(1, spans=99))
        await made.close()

    inserts = Inserts()
    asyncio.run(run())
    assert len(inserts.batches) == 1


def test_each_request_learns_its_own_outcome() -> None:
    async def run() -> list[BaseException | None]:
        made = batcher(inserts)
        outcomes = await asyncio.gather(*(made.add(one(number)) for number in range(4)), return_exceptions=True)
        await made.close()
        return list(outcomes)

    inserts = Inserts(lambda body: InvalidRequestError("bad") if body == b"2" else None)
    outcomes = asyncio.run(run())
    assert [type(outcome) for outcome in outcomes] == [type(None), type(None), InvalidRequestError, type(None)]


def test_a_store_that_fails_costs_the_batch_and_not_the_server() -> None:
    async def run() -> None:
        made = batcher(inserts)
        for _ in range(2):
            with pytest.raises(UnavailableError) as caught:
                await made.add(one(1))
            assert caught.value.retry_seconds == 3
        inserts.outcome = lambda _: None
        await made.add(one(2))
        await made.close()

    inserts = Inserts(lambda _: UnavailableError("down", 3))
    asyncio.run(run())


def test_a_client_that_hangs_up_takes_nothing_out_of_the_insert() -> None:
    async def run() -> None:
        made = batcher(inserts, linger_seconds=0.05)
        gone = asyncio.create_task(made.add(one(1)))
        stays = asyncio.create_task(made.add(one(2)))
        await asyncio.sleep(0)
        gone.cancel()
        await stays
        await made.close()

    inserts = Inserts()
    asyncio.run(run())
    assert inserts.batches == [[b"1", b"2"]]


def test_bytes_wait_until_they_are_written_even_if_their_client_hangs_up() -> None:
    async def run() -> list[int]:
        made = batcher(inserts)
        inserts.gate.clear()
        stays, gone = (asyncio.create_task(made.add(one(number, size=40))) for number in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        waiting = [made.waiting_bytes]
        inserts.gate.set()
        await stays
        await made.close()
        return [*waiting, made.waiting_bytes]

    inserts = Inserts()
    assert asyncio.run(run()) == [80, 0]


def test_requests_wait_for_the_start() -> None:
    async def run() -> None:
        made = Batcher(inserts, linger_seconds=0, max_spans=1000, max_bytes=10**6)
        waiting = asyncio.create_task(made.add(one(1)))
        await asyncio.sleep(0.01)
        assert inserts.batches == []
        made.start()
        await waiting
        await made.close()

    inserts = Inserts()
    asyncio.run(run())
    assert inserts.batches == [[b"1"]]


def test_closing_stores_what_waits_and_refuses_what_comes_after() -> None:
    async def run() -> None:
        made = batcher(inserts, linger_seconds=60)
        waiting = asyncio.create_task(made.add(one(1)))
        await asyncio.sleep(0)
        await made.close()
        await waiting
        assert made.closing
        with pytest.raises(UnavailableError):
            await made.add(one(2))

    inserts = Inserts()
    asyncio.run(run())
    assert inserts.batches == [[b"1"]]
