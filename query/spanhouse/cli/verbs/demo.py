"""``spanhouse demo``: a real application at two commits, and the question which one is worse."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Final

from spanhouse.cli.demo import summary
from spanhouse.cli.demo.processes import application, environment, serving
from spanhouse.cli.demo.sample_repository import Release, Repository
from spanhouse.cli.demo.traffic import send
from spanhouse.cli.errors import Exit
from spanhouse.query import TraceClient

OLD = Release(version="1.0.0", subject="Answer from three documents", documents=3, rerank=False, failure_rate=0.02)
NEW = Release(version="1.1.0", subject="Answer from twelve documents, reranked", documents=12, rerank=True, failure_rate=0.09)

_APPLICATION_NEEDS: Final = ("chdb", "grpc", "uvicorn", "fastapi", "opentelemetry.instrumentation.fastapi")
"""Modules that the demo's processes load, looked for before anything is started."""


def run(arguments: Namespace) -> int:
    """Release the application twice, send it requests, and print what searches of the store find."""
    for module in _APPLICATION_NEEDS:
        if find_spec(module) is None:
            raise ModuleNotFoundError(name=module)
    new = NEW if arguments.failure_rate is None else NEW.failing(arguments.failure_rate)
    with _ended_by_signals(), _directory(keep=arguments.keep) as directory:
        summary.begin()
        repository = Repository(directory / "chat-service", environment())
        with serving(directory) as (grpc, clickhouse_http):
            for release in (OLD, new):
                commit = repository.commit(release)
                variables = _variables(release, commit, grpc)
                with application(repository.directory, directory / f"chat-service-{release.version}.log", variables) as address:
                    answers = send(address, arguments.requests, version=release.version)
                summary.released(release, commit, answers)
            with TraceClient(f"http://{clickhouse_http}") as client:
                summary.ask(client, sent=2 * arguments.requests)
        summary.go_on(directory / "store" if arguments.keep else None)
    return Exit.DONE


def _variables(release: Release, commit: str, grpc: str) -> dict[str, str]:
    """Return the environment variables that a deployment sets for the application."""
    return {
        "OTEL_SERVICE_NAME": summary.SERVICE,
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://{grpc}",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
        "APP_ENVIRONMENT": "production",
        "APP_VERSION": release.version,
        "DEPLOYMENT_ID": f"deploy-{commit[:8]}",
        "REGION": "eu-central-1",
    }


@contextmanager
def _directory(*, keep: bool) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="spanhouse-demo-"))
    done = False
    try:
        yield directory
        done = True
    finally:
        if not (keep and done):
            shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """End the ``with`` blocks when a signal says so, which stops processes and removes directories."""

    def end(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
