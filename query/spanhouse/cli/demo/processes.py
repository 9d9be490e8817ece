"""Processes of the demo: the receiver and the application. Each is stopped when its ``with`` block ends, by an error too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from spanhouse.cli.errors import CommandError, Exit

_START_SECONDS: Final = 60
_STOP_SECONDS: Final = 30
_POLL_SECONDS: Final = 0.02
_READY: Final = re.compile(r"^spanhouse ready store=(\S+) grpc=(\S+) http=\S+ clickhouse-http=(\S+)\s", re.MULTILINE)
_LISTENS: Final = re.compile(r"Uvicorn running on http://(\S+)\s")
_FOREIGN: Final = ("GIT_", "MLFLOW_", "OTEL_", "SPANHOUSE_")


def environment() -> dict[str, str]:
    """Return the user's variables without those that would change the demo's outcome."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**own, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}


@contextmanager
def serving(directory: Path) -> Iterator[tuple[str, str]]:
    """Run ``spanhouse serve`` on a new store in the directory and on free ports; gives the addresses of gRPC and of ClickHouse's HTTP."""
    words = ["-m", "spanhouse.cli", "serve", "--store", f"chdb://{directory / 'store'}"]
    for listener in ("grpc", "http", "clickhouse-http", "console"):
        words += [f"--{listener}", "127.0.0.1:0"]
    variables = {**environment(), "SPANHOUSE_DATA_DIR": str(directory)}
    with _running("spanhouse serve", words, directory / "serve.log", _READY, cwd=directory, variables=variables) as ready:
        yield ready[2], ready[3]


@contextmanager
def application(checkout: Path, log: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """Run the application that is checked out, on a free port; gives its address. It sends its last spans before it ends."""
    words = ["-m", "uvicorn", "main:app", "--host", "127.0.0.1", "--port", "0", "--no-access-log", "--no-use-colors"]
    with _running("the application", words, log, _LISTENS, cwd=checkout, variables={**environment(), **variables}) as ready:
        yield ready[1]


@contextmanager
def _running(name: str, words: list[str], log: Path, ready: re.Pattern[str], *, cwd: Path, variables: Mapping[str, str]) -> Iterator[re.Match[str]]:
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 (our own interpreter, words of ours alone)
            [sys.executable, *words],
            cwd=cwd,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the demo alone, which then stops its processes in order
        )
    try:
        yield _wait(name, process, log, ready)
    finally:
        _stop(process)


def _wait(name: str, process: subprocess.Popen[bytes], log: Path, ready: re.Pattern[str]) -> re.Match[str]:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        said = log.read_text(encoding="utf-8", errors="replace")
        if found := ready.search(said):
            return found
        if ended:
            last = (said.strip().splitlines() or ["it said nothing"])[-1]
            raise CommandError(f"{name} ended with code {process.returncode}: {last}", Exit.STORE)
        time.sleep(_POLL_SECONDS)
    raise CommandError(f"{name} was not ready within {_START_SECONDS} s", Exit.STORE)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except BaseException as error:
        process.kill()
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
