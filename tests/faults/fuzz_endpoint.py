"""Sends damaged requests to the ClickHouse-compatible endpoint of a real server: ``python -m tests.faults.fuzz_endpoint --requests N``.

Every answer has to be one that ClickHouse's HTTP interface gives: a status that goes with the error's number, which a header names and the text
begins with. The server must neither crash nor hang nor log a failure of its own nor grow, nor change what is stored, and the undamaged queries
among them have to be answered rightly. A request that fails is named by its number and the seed, of which it can be made again.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import uvloop
from tests.faults.fuzz_endpoint_cases import Case, make
from tests.faults.fuzzing import Connection, IllegalAnswerError, Memory, head, run_as_told
from tests.faults.test_resent_requests import post
from tests.support.serve import Serve
from tests.support.standard_load import standard_request

_SECONDS: Final = 120.0
_STATUSES: Final = {200, 400, 403, 404, 405, 408, 413, 415, 500, 501, 503}
_OUR_FAILURE: Final = b"failed unexpectedly"
_ERROR: Final = re.compile(rb"Code: (\d+)\. DB::Exception: .*\(version [0-9.]+\)\n\Z", re.DOTALL)
_CONTENTS: Final = "SELECT count(), sum(cityHash64(*)) FROM otel_traces"


class Fuzzer:
    """Sends so many requests, a number of them at once.

    Attributes:
        answers: how often each answer came.
        sent: how many were answered.
    """

    def __init__(self, address: str, *, requests: int, seed: int) -> None:
        self._address = address
        self._seed = seed
        self._numbers: Iterator[int] = iter(range(requests))
        self.answers: Counter[str] = Counter()
        self.sent = 0

    async def run(self, at_once: int) -> None:
        """Send all of them."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(at_once):
                workers.create_task(self._work())

    async def _work(self) -> None:
        connection = Connection(self._address)
        for number in self._numbers:
            case = make(number, self._seed)
            try:
                async with asyncio.timeout(_SECONDS):
                    self.answers[await _answer(connection, case)] += 1
            except Exception as error:
                raise IllegalAnswerError(f"request {number} of seed {self._seed}: {error!r}") from error
            self.sent += 1
        connection.close()


async def _answer(connection: Connection, case: Case) -> str:
    if case.raw:
        return await connection.ask_anything(case.raw + case.body)
    try:
        answer = await connection.ask(head(case.method, case.target, case.headers, case.body) + case.body, method=case.method)
    except asyncio.IncompleteReadError:  # a query that failed after its first rows: the body is broken off
        connection.close()
        assert not case.expected
        return "broken off"
    return _legal(case, *answer)


def _legal(case: Case, status: int, headers: dict[str, str], body: bytes) -> str:
    """Check an answer; its name."""
    assert status in _STATUSES, status
    assert _OUR_FAILURE not in body, body
    code = headers.get("x-clickhouse-exception-code")
    if case.expected:
        assert (status, body) == (200, case.expected) or code == "202", (status, body)
    if code is None:
        assert status in {200, 400, 404, 405}, (status, body)
        return f"{status}"
    assert status != 200, (status, code)
    assert headers["x-clickhouse-query-id"]
    if case.method != "HEAD":
        matched = _ERROR.match(body)
        assert matched is not None, body
        assert matched[1] == code.encode(), (code, body)
    return f"{status}, {code}"


def fuzz(directory: Path, *, requests: int, seed: int, at_once: int = 32) -> dict[str, Any]:
    """Run against a server of its own.

    Returns:
        What happened, for the record.

    Raises:
        AssertionError: something did not hold.
    """
    with Serve(directory) as serve:
        post(serve, standard_request(512, 1))
        serve.drained()
        before = _query(serve, _CONTENTS)
        fuzzer = Fuzzer(serve.clickhouse_http, requests=requests, seed=seed)
        memory = Memory(serve.process.pid)
        uvloop.run(memory.during(fuzzer.run(at_once)))
        assert serve.process.poll() is None
        after = _query(serve, _CONTENTS)
        log = serve.log.read_text()
        assert serve.stop() == 0
    found = {"requests": fuzzer.sent, "seconds": round(memory.seconds), "answers": dict(sorted(fuzzer.answers.items())), **memory.found()}
    assert fuzzer.sent == requests
    assert before == after
    assert "Traceback" not in log, log[-5000:]
    memory.check()
    return found


def _query(serve: Serve, sql: str) -> bytes:
    with urlopen(f"http://{serve.clickhouse_http}/", data=sql.encode(), timeout=60) as answer:
        found: bytes = answer.read()
    return found


if __name__ == "__main__":
    run_as_told(fuzz, __doc__, 100_000)
