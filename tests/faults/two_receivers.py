"""Readers beside two receivers of one store: each counts the rows of ``traces`` and their distinct ids, which are to be equal in every answer.

Usage: python -m tests.faults.two_receivers [--queries N] [--rate N] [--directory DIR] [--embedded]

Two ``serve`` share a ClickHouse server, for which the engine in a process of its own stands in, so both settle its traces; with ``--embedded`` two
receiving processes share an embedded store. Traces come in pieces, to both in turn, one span in a hundred later than the window, roots among them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import clickhouse_connect
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.serve import UNSETTLED, Serve

_COUNTS = "SELECT count(), uniqExact(TraceId) FROM traces"
_LATE_SEEN = "SELECT TraceId FROM traces WHERE TraceId IN {ids:Array(String)} AND mapContains(Tags, 'late')"
_DIFFERENT = """SELECT count()
FROM (SELECT TraceId, uniqExact(SpanId) AS Stored FROM otel_traces GROUP BY TraceId) AS span
FULL JOIN traces AS trace USING TraceId
WHERE span.Stored != trace.SpanCount"""
_MOST_IDS = 500
"""Ids that are asked for at once: they go in the URL."""
_READERS = 2
_TOLD_AFTER = 500
_PROGRAM = "tests.faults.short_windows"


@dataclass
class Outcome:
    """Findings of a run.

    Attributes:
        wrong: answers in which a trace was there twice: queries before, rows, traces.
        spans, seconds: acknowledged while queries ran.
        late: traces that got late spans.
        invisible: longest time from the acknowledgement of a late span until its trace's row knew it, in seconds.
        unseen: such traces that got no such row in the end.
        different: traces at the end whose row does not count the spans that are stored.
    """

    queries: int = 0
    wrong: list[tuple[int, int, int]] = field(default_factory=list)
    spans: int = 0
    seconds: float = 0
    rate: float = 0
    traces: int = 0
    late: int = 0
    invisible: float = 0
    unseen: int = 0
    different: int = 0

    @property
    def good(self) -> bool:
        """No wrong answer; late spans came, and were seen in time."""
        return not self.wrong and not self.different and not self.unseen and self.late > 0 and self.invisible <= 30


@contextmanager
def two_servers(directory: Path) -> Iterator[tuple[str, list[Serve]]]:
    """Give the store's address and two servers on it."""
    with ClickHouseServer(directory / "store") as server, ExitStack() as stack:
        admin = clickhouse_connect.get_client(dsn=f"http://127.0.0.1:{server.port}")
        admin.command("CREATE DATABASE IF NOT EXISTS spanhouse")
        admin.close()
        migrate = [sys.executable, "-m", "spanhouse.cli", "migrate", "--store", server.dsn]
        subprocess.run(migrate, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "SPANHOUSE_DATA_DIR": str(directory)})
        options = ["--store", server.dsn, "--grpc", "off", "--clickhouse-http", "off", "--console", "off"]
        yield (
            server.dsn,
            [
                stack.enter_context(Serve(directory / name, *options, "--spool", str(directory / f"{name}-spool"), program=_PROGRAM))
                for name in ("first", "second")
            ],
        )


@contextmanager
def two_processes(directory: Path) -> Iterator[tuple[str, list[Serve]]]:
    """Give the address of an embedded store and its server, which has two receiving processes."""
    with Serve(directory, "--processes", "2", "--grpc", "off", "--console", "off", program=_PROGRAM) as serve:
        yield serve.dsn, [serve]


class Late:
    """Traces that got late spans, and how long those were not seen."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._waiting: dict[str, float] = {}
        self._one = threading.Lock()

    def follow(self, lines: Iterator[str]) -> None:
        """Read what the load says until it ends."""
        for line in lines:
            if line.startswith("["):
                at, ids = json.loads(line)
                with self._one:
                    self._outcome.late += len(ids)
                    self._waiting |= {trace_id: at for trace_id in ids if trace_id not in self._waiting}
            elif line.startswith("{"):
                said = json.loads(line)
                self._outcome.spans, self._outcome.seconds = said["spans"], round(said["seconds"], 1)
                self._outcome.rate = round(said["spans"] / said["seconds"])

    def look(self, client: Any) -> int:
        """See which are visible, and return how many are not."""
        with self._one:
            waiting = list(self._waiting)
        for first in range(0, len(waiting), _MOST_IDS):
            seen = client.query(_LATE_SEEN, parameters={"ids": waiting[first : first + _MOST_IDS]}).result_rows
            now = time.monotonic()
            with self._one:
                for (trace_id,) in seen:
                    self._outcome.invisible = max(self._outcome.invisible, round(now - self._waiting.pop(trace_id), 1))
        return len(self._waiting)


class Run:
    """Readers and a load, over servers that run."""

    def __init__(self, dsn: str, addresses: Sequence[str], rate: int) -> None:
        self._dsn = dsn
        self.outcome = Outcome()
        self._one = threading.Lock()
        self._late = Late(self.outcome)
        command = [sys.executable, "-m", "tests.faults.late_load", *addresses, str(rate)]
        self._load = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def run(self, queries: int) -> Outcome:
        """Ask so many times, or more until late spans came; then let everything come to rest and compare."""
        assert self._load.stdout is not None
        assert self._load.stdout.readline() == "begun\n"
        following = threading.Thread(target=self._late.follow, args=(self._load.stdout,))
        following.start()
        readers = [threading.Thread(target=self._read, args=(queries,)) for _ in range(_READERS)]
        for reader in readers:
            reader.start()
        with self._client() as client:
            while any(reader.is_alive() for reader in readers):
                self._late.look(client)
                time.sleep(1)
            self._load.terminate()
            following.join()
            self._load.wait(60)
            self._rest(client)
        return self.outcome

    def _read(self, queries: int) -> None:
        with self._client() as client:
            while True:
                ((rows, traces),) = client.query(_COUNTS).result_rows
                with self._one:
                    if self.outcome.queries >= queries and self.outcome.late:
                        return
                    if rows != traces:
                        self.outcome.wrong.append((self.outcome.queries, rows, traces))
                    self.outcome.queries += 1
                    if self.outcome.queries % _TOLD_AFTER == 0:
                        print(f"{self.outcome.queries} queries, {rows} traces, {len(self.outcome.wrong)} wrong answers", file=sys.stderr, flush=True)

    def _rest(self, client: Any) -> None:
        deadline = time.monotonic() + 120
        while (self._late.look(client) or client.command(UNSETTLED) or client.command(_DIFFERENT)) and time.monotonic() < deadline:
            time.sleep(1)
        self.outcome.unseen = self._late.look(client)
        self.outcome.different = int(client.command(_DIFFERENT))
        ((rows, self.outcome.traces),) = client.query(_COUNTS).result_rows
        assert rows == self.outcome.traces

    @contextmanager
    def _client(self) -> Iterator[Any]:
        client = clickhouse_connect.get_client(dsn=self._dsn, autogenerate_session_id=False)
        yield client
        client.close()


def run(directory: Path, *, queries: int, rate: int, embedded: bool) -> Outcome:
    """Start servers, load and readers in a directory that is empty."""
    with (two_processes if embedded else two_servers)(directory) as (dsn, servers):
        addresses = [serve.http for serve in servers]
        return Run(dsn, addresses, rate).run(queries)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=5000)
    parser.add_argument("--rate", type=int, default=10_000, help="spans a second")
    parser.add_argument("--directory", type=Path, help="kept afterwards; by default a temporary one that is removed if all is well")
    parser.add_argument("--embedded", action="store_true")
    wanted = parser.parse_args()
    directory = wanted.directory or Path(tempfile.mkdtemp(prefix="spanhouse-receivers-"))
    directory.mkdir(parents=True, exist_ok=True)
    outcome = run(directory, queries=wanted.queries, rate=wanted.rate, embedded=wanted.embedded)
    print(json.dumps(asdict(outcome)))
    if not outcome.good:
        sys.exit(f"not as it must be; everything is in {directory}")
    if wanted.directory is None:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
