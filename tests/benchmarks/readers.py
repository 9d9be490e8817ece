"""Heavy queries beside ingest: what becomes of the acknowledgements, of the memory and of each query.

Usage: python -m tests.benchmarks.readers [--seconds N] [--readers N] [--rate N]

Half as many spans a second as get stored, or as many as told, come at fixed times, first alone, then while readers ask one heavy query after
another over the ClickHouse-compatible endpoint. Acknowledgements are timed from when they were due. Every query must get its answer or a
refusal with ClickHouse's number; what got neither is counted as lost. Client and server share the cores.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.ack import sustainable
from tests.benchmarks.clients import over_grpc, standard_load
from tests.benchmarks.open_loop import offer, percentile
from tests.benchmarks.processes import Watch, wait_until_quiet
from tests.support.serve import Serve

_SPANS = 512
_STORED = 200_000
_QUERIES = (
    "SELECT Metadata['service.version'] AS version, count(), avg(State = 'ERROR'), quantile(0.99)(Duration) FROM traces GROUP BY version",
    "SELECT uniqExact(TraceId), uniqExact(SpanId) FROM otel_traces",
    "SELECT * FROM otel_traces ORDER BY Duration DESC LIMIT 1000 FORMAT JSONEachRow",
    "SELECT * FROM otel_traces FORMAT JSONEachRow",
    "SELECT SpanAttributes, count() FROM otel_traces GROUP BY SpanAttributes ORDER BY count() DESC LIMIT 10",
    "SELECT count() FROM otel_traces AS a JOIN otel_traces AS b ON a.TraceId = b.TraceId",
)


class Readers:
    """Threads that ask until they are told to stop.

    Attributes:
        outcomes: how many queries were answered, were refused by number, or got neither.
        seconds: of those that were answered.
    """

    def __init__(self, address: str, number: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self.seconds: list[float] = []
        self._address = address
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(first,), name=f"reader {first}") for first in range(number)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Wait for the last answers."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, first: int) -> None:
        for query in itertools.islice(itertools.cycle(_QUERIES), first, None):
            if self._stopping.is_set():
                return
            begun = time.monotonic()
            outcome = self._outcome(query)
            self.outcomes[outcome] += 1
            if outcome == "answered":
                self.seconds.append(time.monotonic() - begun)
            elif outcome == "refused, 202":
                self._stopping.wait(1)

    def _outcome(self, query: str) -> str:
        connection = http.client.HTTPConnection(self._address, timeout=120)
        try:
            connection.request("POST", "/", query)
            response = connection.getresponse()
            while response.read(1 << 20):
                pass
        except http.client.IncompleteRead as broken:
            return "refused on its way" if b"__exception__" in broken.partial else "lost"
        except OSError:
            return "lost"
        finally:
            connection.close()
        code = response.headers.get("X-ClickHouse-Exception-Code")
        return "answered" if code is None else f"refused, {code}"


def _part(serve: Serve, bodies: Sequence[bytes], *, per_second: float, seconds: float, readers: int) -> None:
    send = over_grpc(serve.grpc)
    with Watch(serve.process.pid) as watch:
        asking = Readers(serve.clickhouse_http, readers)
        answers = [took for took, _ in offer(lambda number: send(bodies[number]), per_second=per_second, seconds=seconds)]
        asking.stop()
    p50, p99 = (percentile(answers, share) * 1000 for share in (0.5, 0.99))
    said = ", ".join(f"{number} {outcome}" for outcome, number in sorted(asking.outcomes.items())) or "none"
    slowest = f"{max(asking.seconds):.1f}" if asking.seconds else ""
    print(
        f"| {readers} | {len(answers)} | {p50:.1f} | {p99:.1f} | {max(answers) * 1000:.1f} | {watch.peak_megabytes:.0f} | {said} | {slowest} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="of each part")
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--rate", type=float, default=0, help="spans a second; 0 for half of what gets stored")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, Serve(Path(directory)) as serve:
        stored = sustainable(serve, over_grpc(serve.grpc), _STORED)
        rate = arguments.rate or stored / 2
        print(
            f"{os.cpu_count()} cores for clients and server, load {os.getloadavg()[0]:.1f}; {rate:,.0f} spans/s in requests of {_SPANS}, over gRPC\n"
        )
        print("| readers | requests | ack p50, ms | p99 | max | RssAnon, MB | queries | slowest answer, s |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for number, readers in enumerate((0, arguments.readers)):
            bodies = standard_load(round(rate * arguments.seconds) + _SPANS, _SPANS, now_ns=time.time_ns(), first_seed=10**6 * (number + 1))
            wait_until_quiet(serve.process.pid)
            _part(serve, bodies, per_second=rate / _SPANS, seconds=arguments.seconds, readers=readers)


if __name__ == "__main__":
    main()
