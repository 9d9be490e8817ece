"""Two receivers of one store, killed on the way from an acknowledged request to its trace's row: afterwards each row is the merge of its spans."""

from __future__ import annotations

import http.client
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from tests.faults.killed_serve import POINTS
from tests.support.arrivals import ROWS, different
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.otlp import request, span
from tests.support.reference_merge import Edit, merge
from tests.support.reference_span import Copy
from tests.support.serve import UNSETTLED, Serve

START_NS = 1_796_000_000 * 10**9
PROCESSES = (
    {"service.name": "shop", "service.version": "1.0", "mlflow.source.git.commit": "a" * 40},
    {"service.name": "pay", "service.version": "7"},
)


@dataclass
class Told:
    """Spans that were sent and are acknowledged in the end, by trace, and edits."""

    point: int
    copies: dict[str, list[Copy]] = field(default_factory=lambda: defaultdict(list))
    edits: dict[str, list[Edit]] = field(default_factory=lambda: defaultdict(list))

    def trace_id(self, kind: str) -> bytes:
        return f"{kind}/{self.point:03}".encode().ljust(16, b".")

    def piece(self, process: int, kind: str, *numbers: int, roots: Sequence[int] = (0,)) -> bytes:
        """Make a request with some spans of a trace, those with the given numbers without parent; a number says all that a span says."""
        made = [
            span(
                f"{kind} {number}",
                trace_id=self.trace_id(kind),
                span_id=b"span%04d" % number,
                parent=b"" if number in roots else b"span%04d" % (number // 2),
                start_ns=START_NS + (self.point * 1000 - number * (number in roots)) * 10**6,
                duration_ns=10**8 // (number + 1) + process,
                flags=0,
                error=number == 3,
                attributes={"session.id": f"s{number}", "gen_ai.usage.input_tokens": 100 + number, f"mlflow.traceTag.t{number}": kind},
            )
            for number in numbers
        ]
        self.copies[self.trace_id(kind).hex()].extend(Copy.of(one, PROCESSES[process]) for one in made)
        return request(made, resource=PROCESSES[process]).SerializeToString()

    def before(self) -> Iterator[tuple[int, bytes]]:
        """Give requests that are settled before the kill, each with the number of its receiver."""
        yield 0, self.piece(0, "rooted", 0, 1)
        yield 1, self.piece(1, "open", 2, 3)
        yield 0, self.piece(0, "edited", 0, 1)
        yield 1, self.piece(0, "quiet", 1, 2)
        yield 0, self.piece(0, "moved", 0, 1)

    def around(self) -> Iterator[tuple[int, bytes]]:
        """Give requests that are sent to servers that kill themselves."""
        yield 0, self.piece(1, "rooted", 2, 1)
        yield 1, self.piece(0, "rooted", 3)
        yield 1, self.piece(0, "open", 0, 1)
        yield 0, self.piece(0, "edited", 3)
        yield 1, self.piece(1, "quiet", 3)
        yield 0, self.piece(0, "moved", 2, 5, roots=(0, 5))
        yield 1, self.piece(1, "moved", 4, 6, roots=(0, 6))
        yield 1, self.piece(0, "lost", 4, 5)
        yield 0, self.piece(0, "new", 0, 2)
        yield 1, self.piece(1, "new", 1, 3)

    def after(self) -> Iterator[tuple[int, bytes]]:
        """Give requests that come when both run again."""
        yield 0, self.piece(0, "quiet", 0)
        yield 1, self.piece(0, "new", 4)


class Store:
    """A ClickHouse server, for which the engine in a process of its own stands in, and two receivers that come and go."""

    def __init__(self, directory: Path, server: ClickHouseServer) -> None:
        self._directory = directory
        self._dsn = server.dsn
        self.client: Any = clickhouse_connect.get_client(dsn=server.dsn, autogenerate_session_id=False)

    def receivers(self, stack: ExitStack, point: str = "") -> list[Serve]:
        options = ["--store", self._dsn, "--grpc", "off", "--clickhouse-http", "off", "--console", "off"]

        def start(name: str) -> Serve:
            spool = str(self._directory / f"{name}-spool")
            env = {"KILL_AT": point}
            return Serve(self._directory / name, *options, "--spool", spool, program="tests.faults.killed_serve", env=env)

        with ThreadPoolExecutor(2) as threads:
            return [stack.enter_context(serve) for serve in threads.map(start, ("first", "second"))]

    def edit(self, told: Told, kind: str) -> None:
        trace_id = told.trace_id(kind).hex()
        told.edits[trace_id].append(Edit(time.time_ns(), "t0", "edited"))
        self.client.command("INSERT INTO trace_tags (TraceId, Key, Value) SELECT {id:String}, 't0', 'edited'", parameters={"id": trace_id})

    def differences(self, told: Told) -> list[str]:
        """Return one text for each trace that has not one row, or whose row is not the merge of its spans."""
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in self.client.query(ROWS, parameters={"trace_ids": sorted(told.copies)}).named_results():
            found[row.pop("TraceId")].append(row)
        return [
            f"{bytes.fromhex(trace_id)!r}: {[different(row, merge(copies, told.edits[trace_id])) for row in found[trace_id]]}"
            for trace_id, copies in told.copies.items()
            if [different(row, merge(copies, told.edits[trace_id])) for row in found[trace_id]] != [{}]
        ]

    def rest(self, told: Sequence[Told]) -> None:
        """Wait until all that was told is in the rows; no trace has two at any time."""
        deadline = time.monotonic() + 120
        while True:
            different = [text for one in told for text in self.differences(one)]
            ((rows, traces),) = self.client.query("SELECT count(), uniqExact(TraceId) FROM traces").result_rows
            assert rows == traces
            if not different and not self.client.command(UNSETTLED):
                return
            assert time.monotonic() < deadline, different
            time.sleep(0.1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    directory = tmp_path_factory.mktemp("receivers")
    with ClickHouseServer(directory / "store") as server:
        admin = clickhouse_connect.get_client(dsn=f"http://127.0.0.1:{server.port}")
        admin.command("CREATE DATABASE spanhouse")
        admin.close()
        migrate = [sys.executable, "-m", "spanhouse.cli", "migrate", "--store", server.dsn]
        subprocess.run(migrate, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "SPANHOUSE_DATA_DIR": str(directory)})
        made = Store(directory, server)
        yield made
        made.client.close()


def send(serve: Serve, body: bytes) -> bool:
    """Send a request and return whether it was acknowledged."""
    connection = http.client.HTTPConnection(serve.http, timeout=60)
    try:
        connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def send_all(receivers: Sequence[Serve], requests: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Send requests and return those that were not acknowledged."""
    return [(receiver, body) for receiver, body in requests if not send(receivers[receiver], body)]


def test_receivers_that_are_killed_at_any_point_leave_rows_that_are_merges_of_spans(store: Store) -> None:
    told = [Told(number) for number in range(len(POINTS))]
    chance = random.Random(3)
    with ExitStack() as stack:
        receivers = store.receivers(stack)
        assert not send_all(receivers, chain.from_iterable(one.before() for one in told))
        store.rest(told)
    refused: list[tuple[int, bytes]] = []
    for one, point in zip(told, POINTS, strict=True):
        # What a kill left behind the next servers find, which are killed in their turn.
        store.edit(one, "edited")
        with ExitStack() as stack:
            receivers = store.receivers(stack, point)
            print(point, flush=True)
            refused = send_all(receivers, [*one.around(), *refused])
            kill(receivers, point, chance.uniform(0, 0.3))
    with ExitStack() as stack:
        receivers = store.receivers(stack)
        assert not send_all(receivers, chain(refused, *(one.after() for one in told)))
        store.rest(told)


def kill(receivers: Sequence[Serve], point: str, seconds: float) -> None:
    """Wait until a receiver has killed itself, and kill the other one after some time, if it still runs then."""
    deadline = time.monotonic() + 60
    while all(serve.process.poll() is None for serve in receivers):
        assert time.monotonic() < deadline, f"no receiver came to {point}"
        time.sleep(0.005)
    for serve in receivers:
        with suppress(subprocess.TimeoutExpired):
            serve.process.wait(seconds)
        serve.process.kill()
        serve.process.wait(30)
