"""``serve.json``: addresses of a running server, by which clients on the same machine find it."""

from __future__ import annotations

import json
import os
import re
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from spanhouse.schema.address.dsn import StoreError, data_dir, parse_store

FILE_NAME: Final = "serve.json"
_CONNECT_SECONDS: Final = 5.0
_PID: Final = re.compile(r"PID: (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A running server.

    Attributes:
        pid: process id.
        store: DSN of the store, scrubbed.
        grpc, http, clickhouse_http, console: ``host:port`` of each listener, or ``off``.
        clickhouse_scheme: ``https`` if the ClickHouse listener uses TLS, else ``http``.
    """

    pid: int
    store: str
    grpc: str
    http: str
    clickhouse_http: str
    console: str
    clickhouse_scheme: str = "http"

    @property
    def clickhouse_url(self) -> str:
        """Address of the ClickHouse-compatible endpoint; valid if the endpoint is not ``off``."""
        return f"{self.clickhouse_scheme}://{self.clickhouse_http}"

    def alive(self) -> bool:
        """Tell whether a process with that id exists. Long after a kill it may be another process, see ``refuses``."""
        return _runs(self.pid)

    def refuses(self) -> bool:
        """Tell whether the ClickHouse port refuses connections, as after a kill."""
        host, _, port = self.clickhouse_http.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
        except ConnectionRefusedError:
            return True
        except (OSError, ValueError):
            return False
        return False

    def write(self, path: Path) -> None:
        """Write the file atomically, readable by its owner only."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{self.pid}")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)
        draft.replace(path)


def read_serving(path: Path) -> Serving | None:
    """Read the server in a file; None if the file is missing or invalid."""
    with suppress(OSError, ValueError, TypeError):
        return Serving(**json.loads(path.read_text(encoding="utf-8")))
    return None


def beside_store(directory: Path) -> Path:
    """Return the path of the file for an embedded store's server: beside the store's directory, not in it."""
    return directory.parent / FILE_NAME


def in_data_dir() -> Path:
    """Return the path of the file for clients without a ``--store``."""
    return data_dir() / FILE_NAME


def server_of(directory: Path) -> Serving | None:
    """Return the running server that owns an embedded store, or None."""
    found = read_serving(beside_store(directory))
    with suppress(StoreError):
        if found is not None and found.alive() and parse_store(found.store).directory == directory:
            return found
    return None


def owner(directory: Path) -> str | None:
    """Describe the process that has an embedded store open, for a message; None if unknown.

    Call it after the store could not be opened: the files of a killed process may name another process by now.
    """
    if server := server_of(directory):
        return f"`spanhouse serve`, process {server.pid} (grpc={server.grpc} http={server.http} clickhouse-http={server.clickhouse_http})"
    with suppress(OSError):
        # The engine's own file with its process id.
        found = _PID.search((directory / "status").read_text(encoding="utf-8", errors="replace"))
        if found is not None and int(found[1]) != os.getpid() and _runs(int(found[1])):
            return f"process {found[1]}"
    return None


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
