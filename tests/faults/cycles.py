"""SIGKILL `serve` again and again while clients send numbered spans, on one store and one spool; then compare what they saw acknowledged.

Usage: python -m tests.faults.cycles [--cycles N] [--directory DIR] [--seed N]

A server is stopped (SIGSTOP), looked at, and killed, so what was under way when it died is measured and not guessed: whether clients
waited for answers, and whether the drain was between an insert and the removal of its segment.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from unittest import mock

import clickhouse_connect
from tests.support.serve import UNSETTLED

_CLIENTS = 6
_SPANS = 5
_LATEST_SECONDS = 0.8
"""A server is killed so long after it took requests, at the latest."""
_IN_RECOVERY = 0.2
"""Share of servers that are killed before they take requests."""
_PYTHON = [sys.executable, "-m", "tests.faults.cycles"]


@dataclass
class Outcome:
    """What a run found.

    Attributes:
        in_flight: kills while clients waited for answers,
        draining: while the drain had a sealed segment in hand,
        both: both at once.
        in_recovery: kills before the server took requests.
        offered: spans that were sent; an answer may have been lost.
        lost: acknowledged spans that are not stored.
        doubled: spans that are stored more than once.
        disagreeing: traces of which the view says another number of spans.
    """

    kills: int = 0
    in_flight: int = 0
    draining: int = 0
    both: int = 0
    in_recovery: int = 0
    acknowledged: int = 0
    stored: int = 0
    lost: int = 0
    doubled: int = 0
    disagreeing: int = 0
    dead_letters: int = 0
    quarantined: int = 0
    seconds: float = 0
    seed: int = 0
    trouble: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Nothing lost, nothing doubled, and the kills came when they hurt."""
        running = self.kills - self.in_recovery
        wrong = self.lost + self.doubled + self.disagreeing + self.dead_letters + len(self.trouble)
        return wrong == 0 and self.acknowledged > 0 and 2 * self.both >= running


class Cycles:
    """One store, one spool, one port, and the clients, over many servers."""

    def __init__(self, directory: Path, seed: int) -> None:
        self._directory = directory
        self._random = random.Random(seed)
        self._ports = _free_ports(2)
        self.outcome = Outcome(seed=seed)

    def run(self, cycles: int) -> Outcome:
        """Kill so many servers, then compare."""
        begun = time.monotonic()
        acknowledged, waiting = self._directory / "acknowledged", self._directory / "waiting"
        waiting.write_bytes(bytes(_CLIENTS))
        clients = subprocess.Popen([*_PYTHON, "--send", str(self._ports[0]), str(self._directory)])
        try:
            for _ in range(cycles):
                self._cycle(waiting)
        finally:
            clients.terminate()
            clients.wait(30)
        server = self._start()
        self._ready(server, 120)
        self._drained()
        self._compare([line for line in acknowledged.read_text().splitlines() if line])
        server.terminate()
        if code := server.wait(60):
            self.outcome.trouble.append(f"the last server ended with {code}")
        if "Traceback" in (self._directory / "serve.log").read_text():
            self.outcome.trouble.append("a traceback in serve.log")
        self.outcome.seconds = round(time.monotonic() - begun)
        return self.outcome

    def _cycle(self, waiting: Path) -> None:
        server = self._start()
        self.outcome.kills += 1
        if self._random.random() < _IN_RECOVERY:
            # Its listeners come last; most of the time before goes by in loading the program, which takes longer on a busy machine.
            self._opened(server)
            time.sleep(self._random.uniform(0, 0.4))
        else:
            self._ready(server, 120)
            time.sleep(self._random.uniform(0.05, _LATEST_SECONDS))
        server.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, server.pid, os.WSTOPPED)
        if server.stdout is not None and (server.poll() is not None or not _has_spoken(server)):
            self.outcome.in_recovery += 1
        else:
            in_flight, draining = any(waiting.read_bytes()), bool(list(self._directory.glob("store-spool/0/*.sealed")))
            self.outcome.in_flight += in_flight
            self.outcome.draining += draining
            self.outcome.both += in_flight and draining
        server.kill()
        server.wait(60)
        if server.stdout is not None:
            server.stdout.close()

    def _start(self) -> subprocess.Popen[bytes]:
        with (self._directory / "serve.log").open("ab") as log:
            arguments = [*_PYTHON, "--serve", str(self._ports[0]), str(self._ports[1]), str(self._directory)]
            return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=log, env={**os.environ, "SPANHOUSE_DATA_DIR": str(self._directory)})

    def _ready(self, server: subprocess.Popen[bytes], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not _has_spoken(server):
            if server.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"serve did not start\n{(self._directory / 'serve.log').read_text()[-3000:]}")
            time.sleep(0.005)

    def _opened(self, server: subprocess.Popen[bytes]) -> None:
        """Wait until it opens the store."""
        lock = self._directory / "store/spanhouse.lock"
        deadline = time.monotonic() + 120
        while not any(Path(f"/proc/{server.pid}/fd").glob("*")) or not _holds(server.pid, lock):
            if server.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"serve did not start\n{(self._directory / 'serve.log').read_text()[-3000:]}")
            time.sleep(0.002)

    def _drained(self) -> None:
        deadline = time.monotonic() + 300
        while left := [*self._directory.glob("store-spool/0/*.open"), *self._directory.glob("store-spool/0/*.sealed")]:
            if time.monotonic() > deadline:
                self.outcome.trouble.append(f"{len(left)} segments are not stored")
                return
            time.sleep(0.05)

    def _compare(self, acknowledged: list[str]) -> None:
        client = clickhouse_connect.get_client(dsn=f"http://127.0.0.1:{self._ports[1]}")
        deadline = time.monotonic() + 120
        while int(str(client.command(UNSETTLED))) and time.monotonic() < deadline:
            time.sleep(0.05)
        requests = {
            str(request): (int(spans), int(times))
            for request, spans, times in client.query(
                "SELECT splitByChar('/', SpanName)[1], uniqExact(SpanName), count() FROM otel_traces GROUP BY 1"
            ).result_rows
        }
        outcome = self.outcome
        outcome.acknowledged = len(set(acknowledged)) * _SPANS
        outcome.stored = sum(times for _, times in requests.values())
        outcome.lost = sum(_SPANS - requests.get(request, (0, 0))[0] for request in set(acknowledged))
        outcome.doubled = sum(times - spans for spans, times in requests.values())
        outcome.disagreeing = int(
            str(
                client.command(
                    "SELECT count() FROM (SELECT TraceId, count() AS Stored FROM otel_traces GROUP BY TraceId) AS s "
                    "FULL JOIN (SELECT TraceId, SpanCount, State FROM traces) AS t USING TraceId WHERE Stored != SpanCount OR State != 'OK'"
                )
            )
        )
        outcome.dead_letters = len(list(self._directory.glob("store-spool/dead-letters/*.otlp")))
        outcome.quarantined = len(list(self._directory.glob("store-spool/quarantine/*.bin")))
        client.close()


def _has_spoken(server: subprocess.Popen[bytes]) -> bool:
    if server.stdout is None:
        return False
    with selectors.DefaultSelector() as selector:
        selector.register(server.stdout, selectors.EVENT_READ)
        return bool(selector.select(0))


def _holds(pid: int, file: Path) -> bool:
    for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            if descriptor.readlink() == file:
                return True
        except OSError:
            continue
    return False


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [int(opened.getsockname()[1]) for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def serve(http_port: str, clickhouse_port: str, directory: Path) -> None:
    """The whole server, with segments so small that the drain always has one in hand."""
    from spanhouse.exporter.serve import pipeline
    from spanhouse.exporter.serve.app import run
    from spanhouse.exporter.serve.config import ServeConfig
    from spanhouse.schema.address.dsn import parse_store

    config = ServeConfig(
        store=parse_store(f"chdb://{directory}/store"), grpc="off", http=f"127.0.0.1:{http_port}", clickhouse_http=f"127.0.0.1:{clickhouse_port}"
    )
    with mock.patch.multiple(pipeline, BATCH_SPANS=60, LINGER_SECONDS=0):
        run(config)


def send(port: int, directory: Path) -> None:
    """Clients, each of which sends one request at a time, and writes its number down when it has seen the acknowledgement."""
    from tests.support.otlp import trace

    acknowledged = os.open(directory / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    waiting = os.open(directory / "waiting", os.O_WRONLY)

    def client(place: int) -> None:
        for number in range(10**9):
            name = f"{place}-{number}"
            request = trace(name=name, children=_SPANS - 1)
            for index, span in enumerate(request.resource_spans[0].scope_spans[0].spans):
                span.name = f"{name}/{index}"
            body = request.SerializeToString()
            # Some clients send again until they have an answer, the others give a request up that got none.
            while not _sent(port, body, lambda flag: os.pwrite(waiting, flag, place)):
                time.sleep(0.02)
                if place % 2:
                    break
            else:
                os.write(acknowledged, f"{name}\n".encode())

    threads = [threading.Thread(target=client, args=(place,), daemon=True) for place in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    signal.sigwait({signal.SIGTERM})
    os._exit(0)


def _sent(port: int, body: bytes, wait: Callable[[bytes], object]) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.connect()
        connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
        wait(b"\1")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        wait(b"\0")
        connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=300)
    parser.add_argument("--directory", type=Path, help="kept afterwards; by default a temporary one that is removed if all is well")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--send", nargs=2, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.serve:
        serve(wanted.serve[0], wanted.serve[1], Path(wanted.serve[2]))
        return
    if wanted.send:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        send(int(wanted.send[0]), Path(wanted.send[1]))
        return
    directory = wanted.directory or Path(tempfile.mkdtemp(prefix="spanhouse-cycles-"))
    directory.mkdir(parents=True, exist_ok=True)
    outcome = Cycles(directory, wanted.seed).run(wanted.cycles)
    print(json.dumps(asdict(outcome)))
    if not outcome.good:
        sys.exit(f"not as it must be; everything is in {directory}")
    if wanted.directory is None:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
