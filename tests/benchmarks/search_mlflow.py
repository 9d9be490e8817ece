"""Searches beside MLflow's own store, on SQLite and on PostgreSQL, over the same traces in the same run.

Ours is filled first; MLflow's tables get the same traces and spans from it, by bulk inserts below its API, which would take hours. Each search
then goes through what a user calls: ``TraceClient`` on the embedded store, and ``search_traces`` of MLflow's ``SqlAlchemyStore`` in an
environment of its own, all in one process each, no HTTP between. The answers have to be the same traces.

Usage: python -m tests.benchmarks.search_mlflow [--traces N ...]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import clickhouse_connect
import pyarrow.parquet
from tests.benchmarks.postgres import Postgres
from tests.benchmarks.processes import children, cpu_seconds
from tests.benchmarks.search import fill
from tests.golden.record_mlflow import MLFLOW
from tests.support.environment import interpreter

from spanhouse.query import TraceClient

SEARCHES: Mapping[str, str] = {
    "newest": "",
    "two clauses, 1 in 120": "metadata.`mlflow.source.type` = 'production' AND metadata.app_version = '1.39.0'",
    "two clauses, 1 in 1500": "metadata.`mlflow.source.type` = 'production' AND metadata.`mlflow.source.git.commit` LIKE '123c0ffee%'",
    "one deployment in 1000": "metadata.deployment_id = 'deployment-0000077'",
    "one user in 50000": "metadata.`mlflow.trace.user` = 'user-0000077'",
    "status ERROR": "status = 'ERROR'",
    "a failed span of that name": "span.name = 'POST /v1/chat' AND span.status = 'ERROR'",
    "a span of that model": "span.attributes.`gen_ai.request.model` LIKE '%gpt-4o-2026%'",
    "a pattern that no trace has": "metadata.deployment_id LIKE '%none%'",
}
_TRACES = """SELECT TraceId AS trace_id, toUnixTimestamp64Milli(Timestamp) AS start_ms, toInt64(intDiv(Duration, 1000000)) AS duration_ms,
    State AS state, Name AS name, CAST(Metadata, 'Map(String, String)') AS metadata FROM traces ORDER BY Timestamp"""
_SPANS = """SELECT TraceId AS trace_id, SpanId AS span_id, ParentSpanId AS parent_id, CAST(SpanName, 'String') AS name,
    if(StatusCode = 'Error', 'ERROR', 'UNSET') AS status, toUnixTimestamp64Nano(Timestamp) AS start_ns, toInt64(Duration) AS duration_ns,
    toJSONString(SpanAttributes) AS attributes FROM otel_traces ORDER BY Timestamp"""
_ROUNDS = 10
_MOST_MS = 10_000
"""After so long a search is not run once more."""
_ROWS = 5000


def measured(search: Callable[[], list[str]], used: Callable[[], float]) -> dict[str, Any]:
    """Least wall and mean CPU milliseconds of some runs after a first one, and the ids that it found."""
    found = search()
    walls: list[float] = []
    before = used()
    while len(walls) < _ROUNDS and sum(walls) < _MOST_MS:
        begun = time.perf_counter()
        search()
        walls.append((time.perf_counter() - begun) * 1000)
    return {"wall": min(walls), "cpu": (used() - before) * 1000 / len(walls), "found": found}


def ask(uri: str, data: str, server: int) -> None:
    """Fill a store of MLflow and ask it; called in MLflow's environment. Prints one line of JSON.

    Args:
        uri: the database.
        data: directory of what it is filled with.
        server: process of the database's server, 0 for none.
    """
    from mlflow.store.tracking.dbmodels.models import (  # type: ignore[import-not-found, unused-ignore]
        SqlSpan,
        SqlTraceInfo,
        SqlTraceMetadata,
        SqlTraceTag,
    )
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # type: ignore[import-not-found, unused-ignore]

    store = SqlAlchemyStore(uri, f"{data}/artifacts")
    experiment = int(store.create_experiment("bench"))

    def rows(name: str) -> Any:
        for batch in pyarrow.parquet.ParquetFile(f"{data}/{name}.parquet").iter_batches(_ROWS):
            yield batch.to_pylist()

    begun = time.perf_counter()
    for traces in rows("traces"):
        with store.engine.begin() as connection:
            connection.execute(SqlTraceInfo.__table__.insert(), [_trace(trace, experiment) for trace in traces])
            pairs = [(trace["trace_id"], key, value) for trace in traces for key, value in trace["metadata"]]
            metadata = [{"request_id": f"tr-{trace_id}", "key": key, "value": value} for trace_id, key, value in pairs]
            connection.execute(SqlTraceMetadata.__table__.insert(), metadata)
            tags = [{"request_id": f"tr-{trace['trace_id']}", "key": "mlflow.traceName", "value": trace["name"]} for trace in traces]
            connection.execute(SqlTraceTag.__table__.insert(), tags)
    for spans in rows("spans"):
        with store.engine.begin() as connection:
            connection.execute(SqlSpan.__table__.insert(), [_span(span, experiment) for span in spans])
    if server:
        with store.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM ANALYZE")
    filled = time.perf_counter() - begun

    def used() -> float:
        return time.process_time() + sum(map(cpu_seconds, (server, *children(server)) if server else ()))

    def search(text: str) -> list[str]:
        return [info.trace_id for info in store.search_traces([str(experiment)], text, 100)[0]]

    print(json.dumps({"filled": filled, "searches": {name: measured(lambda text=text: search(text), used) for name, text in SEARCHES.items()}}))  # type: ignore[misc]


def _trace(trace: Mapping[str, Any], experiment: int) -> dict[str, Any]:
    return {
        "request_id": f"tr-{trace['trace_id']}",
        "experiment_id": experiment,
        "timestamp_ms": trace["start_ms"],
        "execution_time_ms": trace["duration_ms"],
        "status": trace["state"],
        "trace_name": trace["name"],
    }


def _span(span: Mapping[str, Any], experiment: int) -> dict[str, Any]:
    times = {"start_time_unix_nano": span["start_ns"], "end_time_unix_nano": span["start_ns"] + span["duration_ns"]}
    named = {"trace_id": f"tr-{span['trace_id']}", "span_id": span["span_id"], "parent_span_id": span["parent_id"] or None, "name": span["name"]}
    content = json.dumps({**named, **times, "status": {"code": span["status"]}, "attributes": json.loads(span["attributes"])})
    return {**named, **times, "experiment_id": experiment, "status": span["status"], "content": content}


def _ask_mlflow(uri: str, data: Path, server: int = 0) -> dict[str, Any]:
    root = Path(__file__).parents[2]
    python = interpreter("mlflow-postgres", MLFLOW, "psycopg2-binary")
    code = f"from tests.benchmarks.search_mlflow import ask; ask({uri!r}, {str(data)!r}, {server})"
    done = subprocess.run(
        [python, "-W", "ignore", "-c", code], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=True, stdout=subprocess.PIPE, text=True
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _ours(traces: int, data: Path) -> dict[str, Any]:
    dsn = f"chdb://{data}/store"
    begun = time.perf_counter()
    fill(data, traces)
    filled = time.perf_counter() - begun
    writer = clickhouse_connect.get_client(dsn=dsn)
    with TraceClient(dsn) as client:

        def search(text: str) -> list[str]:
            return [trace.info.trace_id for trace in client.search_traces(filter_string=text, max_results=100)]

        answers = {name: measured(lambda text=text: search(text), time.process_time) for name, text in SEARCHES.items()}  # type: ignore[misc]
    for name, sql in (("traces", _TRACES), ("spans", _SPANS)):
        pyarrow.parquet.write_table(writer.query_arrow(sql, use_strings=True), data / f"{name}.parquet")
    writer.close()
    return {"filled": filled, "searches": answers}


def run(traces: int) -> None:
    """Measure a number of traces and print the table."""
    with tempfile.TemporaryDirectory() as directory, Postgres() as postgres:
        data = Path(directory)
        answers = {
            "Spanhouse": _ours(traces, data),
            "MLflow on SQLite": _ask_mlflow(f"sqlite:///{data}/mlflow.db", data),
            "MLflow on PostgreSQL": _ask_mlflow(postgres.uri, data, postgres.pid),
        }
    load = os.getloadavg()[0]
    print(f"\n{traces} traces of 4 spans, the newest 100 of each search; {MLFLOW}; load {load:.1f}\n")
    heads = " | ".join(f"{name}, ms | CPU" for name in answers)
    filled = " | ".join(f"{answer['filled']:.0f} | " for answer in answers.values())
    print(f"| search | found | {heads} |\n| --- | --- | {' | '.join(['--- | ---'] * len(answers))} |\n| to fill, s | | {filled} |")
    for name in SEARCHES:
        found = [answer["searches"][name] for answer in answers.values()]
        same = all(one["found"] == found[0]["found"] for one in found)
        cells = " | ".join(f"{one['wall']:.0f} | {one['cpu']:.0f}" for one in found)
        print(f"| {name} | {len(found[0]['found'])}{'' if same else ', not the same'} | {cells} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, nargs="+", default=[20_000, 100_000])
    for traces in parser.parse_args().traces:
        run(traces)


if __name__ == "__main__":
    main()
