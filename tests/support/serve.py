"""A `spanhouse serve` process on a temporary store and free ports."""

from __future__ import annotations

import atexit
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Self


@cache
def _empty_store() -> Path:
    """A store with all tables, as a first start makes it; made once, since it takes longer than everything else of a start."""
    directory = Path(tempfile.mkdtemp(prefix="spanhouse-tests-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    command = [sys.executable, "-m", "spanhouse.cli", "migrate", "--store", f"chdb://{directory}/store"]
    subprocess.run(command, env=os.environ | {"SPANHOUSE_DATA_DIR": str(directory)}, check=True, stdout=subprocess.DEVNULL)
    return directory / "store"


UNSETTLED = "SELECT count() FROM spanhouse_trace_parts WHERE Arrival NOT IN (SELECT settled.Arrival FROM spanhouse_arrivals AS settled)"
_READY = re.compile(r"spanhouse ready store=(\S+) grpc=(\S+) http=(\S+) clickhouse-http=(\S+) console=(\S+)")


class Serve:
    """Starts the server, waits for its ready line, stops it with SIGTERM.

    Args:
        data_dir: for the store and the log; made if it is not there.
        arguments: of ``serve``.
        env: environment variables on top of the present ones.
        cwd: its working directory.
        program: the module that is run, one that takes the arguments of ``spanhouse.cli``.
        prepared: the tables are there when it starts, in the embedded store that it has by default.

    Attributes:
        grpc, http, clickhouse_http, console: addresses as printed in the ready line.
        spool: the spool's directory.
    """

    def __init__(
        self,
        data_dir: Path,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        program: str = "spanhouse.cli",
        prepared: bool = True,
    ) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        if prepared and "--store" not in arguments and not (data_dir / "store").exists():
            shutil.copytree(_empty_store(), data_dir / "store", symlinks=True)
        self.arguments = arguments
        self.data_dir = data_dir
        self.log = data_dir / "serve.log"
        self.spool = Path(arguments[arguments.index("--spool") + 1]) if "--spool" in arguments else data_dir / "store-spool"
        ports = [] if "--grpc" in arguments else ["--grpc", "127.0.0.1:0"]
        ports += [] if "--http" in arguments else ["--http", "127.0.0.1:0"]
        ports += [] if "--console" in arguments else ["--console", "127.0.0.1:0"]
        ports += [] if "--clickhouse-http" in arguments else ["--clickhouse-http", "127.0.0.1:0"]
        self.env = {**os.environ, "SPANHOUSE_DATA_DIR": str(data_dir), **(env or {})}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", program, "serve", *ports, *arguments], stdout=subprocess.PIPE, stderr=log, env=self.env, cwd=cwd
            )
        self.ready = self._wait(60)
        matched = _READY.match(self.ready)
        assert matched, f"no ready line, but {self.ready!r}\n{self.log.read_text()}"
        self.store, self.grpc, self.http, self.clickhouse_http, self.console = matched.groups()

    def _wait(self, seconds: float) -> str:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                if selector.select(timeout=0.2):
                    return self.process.stdout.readline().decode()
        self.process.kill()
        raise AssertionError(f"serve was not ready in {seconds} s\n{self.log.read_text()}")

    @property
    def dsn(self) -> str:
        """DSN of the ClickHouse-compatible endpoint."""
        return f"http://{self.clickhouse_http}"

    def stored(self, seconds: float = 60) -> None:
        """Wait until everything that was acknowledged is in the store."""
        deadline = time.monotonic() + seconds
        while waiting := [path.name for path in self.spool.rglob("*") if path.suffix in {".open", ".sealed"}]:
            assert time.monotonic() < deadline, f"still in the spool after {seconds} s: {waiting}\n{self.log.read_text()}"
            time.sleep(0.01)

    def drained(self, seconds: float = 60) -> None:
        """Wait until everything that was acknowledged is in the store, and in the rows of traces where the server tells of them."""
        self.stored(seconds)
        deadline = time.monotonic() + seconds
        while self._unsettled():
            assert time.monotonic() < deadline, f"not settled after {seconds} s\n{self.log.read_text()}"
            time.sleep(0.05)

    def _unsettled(self) -> bool:
        """Ask whether parts of traces wait; False of a server that does not answer without a token."""
        if self.clickhouse_http == "off" or "--token-file" in self.arguments:
            return False
        try:
            with urllib.request.urlopen(self.dsn, UNSETTLED.encode(), timeout=30) as answer:  # noqa: S310 an address of our own
                return int(answer.read()) > 0
        except urllib.error.HTTPError:
            return True

    def logged(self, text: str, seconds: float = 60) -> None:
        """Wait until the log says this."""
        deadline = time.monotonic() + seconds
        while text not in self.log.read_text():
            assert time.monotonic() < deadline, f"{text!r} is not in the log after {seconds} s\n{self.log.read_text()}"
            time.sleep(0.01)

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """Stop the process and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        code = self.process.wait(timeout=60)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
