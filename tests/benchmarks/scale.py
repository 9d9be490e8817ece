"""From one core to two, and from one receive process to two: ``python -m tests.benchmarks.scale [--spans N]``.

`serve` is kept to core 0, or given both cores of the machine. Acknowledged spans a second say what receiving takes, stored ones what the
engine adds, which is one process whatever there is. The client is kept to core 1 where the server has core 0; where the server has both,
nowhere is left for the client, so those rows are too low. CPU is that of all the server's processes until merges rest.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.benchmarks.clients import Send, over_grpc, over_http, send_all, standard_load
from tests.benchmarks.processes import children, cpu_seconds, wait_until_quiet
from tests.support.serve import Serve


def _measure(processes: int, cores: set[int], transport: str, bodies: Sequence[bytes], spans: int) -> None:
    everywhere = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as directory:
        os.sched_setaffinity(0, cores)  # the server inherits it
        try:
            serve = Serve(Path(directory), "--processes", str(processes))
        finally:
            os.sched_setaffinity(0, everywhere - cores or everywhere)
        try:
            with serve:
                pids = [serve.process.pid, *children(serve.process.pid)]
                wait_until_quiet(*pids)
                before, begun = sum(map(cpu_seconds, pids)), time.monotonic()
                send_all(_spread(serve, transport), bodies)
                acknowledged = time.monotonic() - begun
                serve.drained(900)
                stored = time.monotonic() - begun
                wait_until_quiet(*pids)
                used = sum(map(cpu_seconds, pids)) - before
        finally:
            os.sched_setaffinity(0, everywhere)
    print(
        f"| {processes} | {len(cores)} | {transport}, {spans // len(bodies)} | {spans / acknowledged:,.0f} | {spans / stored:,.0f} "
        f"| {used / spans * 1e6:.1f} |",
        flush=True,
    )


def _spread(serve: Serve, transport: str) -> Send:
    """The kernel shares connections out, not requests; so there are several."""
    connect: Callable[[str], Send] = over_grpc if transport == "grpc" else over_http
    sends = [connect(getattr(serve, transport)) for _ in range(16)]
    return lambda body: sends[hash(body) % len(sends)](body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=200_000, help="spans of a row; an eighth of it for small requests")
    wanted = parser.parse_args().spans
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| processes | cores | requests | acknowledged spans/s | stored spans/s | CPU µs/span |\n| --- | --- | --- | --- | --- | --- |")
    for size in (512, 8):
        bodies = standard_load(wanted if size == 512 else wanted // 8, size, now_ns=time.time_ns())
        for transport in ("grpc", "http"):
            for processes, cores in ((1, {0}), (1, {0, 1}), (2, {0, 1})):
                _measure(processes, cores, transport, bodies, size * len(bodies))


if __name__ == "__main__":
    main()
