"""``serve.json``: what a running server says of itself, so that clients on the same machine find it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from spanhouse.schema.store import data_dir

FILE_NAME: Final = "serve.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A running server.

    Attributes:
        pid: its process id.
        store: its store's DSN, scrubbed.
        grpc, http, clickhouse_http, console: ``host:port`` of each listener, or ``off``.
        clickhouse_scheme: ``http``, or ``https`` where that listener speaks TLS.
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
        """Address of the ClickHouse-compatible endpoint, to be used if that is not ``off``."""
        return f"{self.clickhouse_scheme}://{self.clickhouse_http}"

    def alive(self) -> bool:
        """Whether the process still exists. That it listens is for the caller to find out, by connecting."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def write(self, path: Path) -> None:
        """Write the file, readable by its owner only, in one step."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{self.pid}")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)
        draft.replace(path)


def read_serving(path: Path) -> Serving | None:
    """The server that the file names, or None if there is no such file or it says nothing usable."""
    with suppress(OSError, ValueError, TypeError):
        return Serving(**json.loads(path.read_text(encoding="utf-8")))
    return None


def beside_store(directory: Path) -> Path:
    """The file of the server that owns an embedded store: beside the store's directory, not in it."""
    return directory.parent / FILE_NAME


def in_data_dir() -> Path:
    """The file by which clients that are told nothing find a server."""
    return data_dir() / FILE_NAME
