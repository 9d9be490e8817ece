"""Records what a real receiver's metrics say of a store that is away for eight minutes: python -m tests.deploy.record_alerts.

Two minutes are well; then the store hangs up on every insert, until the spool is full and clients are refused; then it is back. Takes 18 minutes
and prints the series for promtool's tests (deploy/alerts/recorded.tests.yaml).
"""

from __future__ import annotations

import http.client
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import clickhouse_connect
from prometheus_client.parser import text_string_to_metric_families
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.faulty_store import Fault, FaultyStore
from tests.support.kubernetes import DEPLOY
from tests.support.otlp import request, span
from tests.support.serve import Serve

from spanhouse.schema.tables import migrations

EVERY_SECONDS = 15
AWAY = range(2 * 60, 10 * 60)
SECONDS = 18 * 60
SPOOL_BYTES = 16 * 2**20
REQUESTS_PER_SECOND = 4
GARBAGE_EVERY = 400
"""One request in so many is none."""


def main() -> None:
    """Record, and print."""
    begun = time.monotonic()

    def fault(_: int) -> Fault:
        return Fault.CUT if int(time.monotonic() - begun) in AWAY else Fault.NONE

    with tempfile.TemporaryDirectory() as directory, ClickHouseServer(Path(directory) / "store") as server:
        prepare(server.port)
        store = FaultyStore(server.port, "spanhouse", fault)
        with store, Serve(Path(directory) / "data", "--store", store.dsn, "--spool-bytes", str(SPOOL_BYTES)) as serve, load(serve.http):
            begun = time.monotonic()
            scrapes = []
            for number in range(SECONDS // EVERY_SECONDS):
                time.sleep(max(0.0, begun + number * EVERY_SECONDS - time.monotonic()))
                scrapes.append(scrape(serve.http))
    for line in series(scrapes):
        print(line)


def prepare(port: int) -> None:
    client = clickhouse_connect.get_client(dsn=f"http://127.0.0.1:{port}/default", autogenerate_session_id=False)
    client.command("CREATE DATABASE spanhouse")
    client.close()
    client = clickhouse_connect.get_client(dsn=f"http://127.0.0.1:{port}/spanhouse", autogenerate_session_id=False)
    migrations.apply(lambda sql, parameters=None: client.query(sql, parameters=dict(parameters or {})).result_rows)
    client.close()


@contextmanager
def load(address: str) -> Iterator[None]:
    """Sends requests of 30 spans until the end of the block, whatever the answers are."""
    stop = threading.Event()
    resource = {"service.name": "shop", "service.version": "1.0.0"}

    def send() -> None:
        number = 0
        while not stop.wait(1 / REQUESTS_PER_SECOND):
            number += 1
            body = request([span("GET /cart", attributes={"filling": "x" * 400}) for _ in range(30)], resource=resource).SerializeToString()
            connection = http.client.HTTPConnection(address, timeout=30)
            connection.request("POST", "/v1/traces", b"\xff" if number % GARBAGE_EVERY == 0 else body, {"Content-Type": "application/x-protobuf"})
            connection.getresponse().read()
            connection.close()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def scrape(address: str) -> dict[str, float]:
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    asked = set(re.findall(r"spanhouse_\w+", (DEPLOY / "alerts" / "spanhouse.rules.yaml").read_text()))
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in asked:
                labels = ",".join(f'{name}="{value}"' for name, value in {"job": "spanhouse", "instance": "a", **sample.labels}.items())
                found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def series(scrapes: list[dict[str, float]]) -> Iterator[str]:
    for name in sorted({name for found in scrapes for name in found}):
        values = " ".join(f"{found[name]:.10g}" if name in found else "_" for found in scrapes)
        yield f"      - {{series: '{name}', values: \"{values}\"}}"


if __name__ == "__main__":
    main()
