"""Backup of a store's database by the engine into a directory, and its restore into an empty store; both are checked by row counts and hashes.

The directory must be among the engine's options when it is opened (``embedded.client_arguments``); file names in the directory are chosen here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from spanhouse.schema.settle import settle
from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.driver import Execute, MigrationError, number

FILE_NAME: Final = "spanhouse-backup.json"
"""File in a backup's directory that marks it as complete."""
_ENGINES: Final = "engine"
"""Subdirectory of a backup for the engine's own files."""
_HASHED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "otel_traces": "otel_traces",
        "traces": "(SELECT * EXCEPT (Settled) FROM spanhouse_trace_rows FINAL)",
        "trace_tags": "trace_tags FINAL",
        "spanhouse_prices": "spanhouse_prices",
    }
)
"""Tables of spans, traces and users' edits -> SQL of the compared rows. Other tables are derived; the engine has checksums of all."""
_NOT_EMPTY: Final = "SELECT count() FROM system.tables WHERE database = currentDatabase()"


@dataclass(frozen=True, slots=True)
class Backup:
    """Contents of a backup.

    Attributes:
        database: name of the database in the backup.
        contents: rows and hash of each compared table.
    """

    database: str
    contents: Mapping[str, tuple[int, int]]

    @property
    def spans(self) -> int:
        """Number of rows of ``otel_traces``."""
        return self.contents["otel_traces"][0]

    def to_json(self) -> str:
        """Return the text of the file."""
        return json.dumps({"database": self.database, "contents": self.contents})

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read the backup in a directory.

        Raises:
            MigrationError: there is no complete backup, or it is of a pre-release.
        """
        try:
            found = json.loads((directory / FILE_NAME).read_text(encoding="utf-8"))
            read = cls(str(found["database"]), {str(table): (int(rows), int(hashed)) for table, (rows, hashed) in found["contents"].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise MigrationError(f"{directory} holds no backup that was finished: {FILE_NAME} is missing or damaged") from None
        if read.contents.keys() != _HASHED.keys():
            raise MigrationError(f"{directory} is of a pre-release: restore it with that, and carry its spans over by `spanhouse store push`")
        return read


def backup(execute: Execute, database: str, *, under: str = "") -> Backup:
    """Back up the database. The caller must stop all writes meanwhile.

    Args:
        execute: runs a statement on the embedded store.
        database: database of the store, an identifier.
        under: name of the backup's directory below the engine's directory for backups; '' for that directory itself.
    """
    with _merges_stopped(execute):
        found = Backup(database, _contents(execute))
        execute(f"BACKUP DATABASE {database} TO File('{f'{under}/' if under else ''}{_ENGINES}')")
    return found


def restore(execute: Execute, database: str, source: Backup) -> None:
    """Restore a backup into a database without tables, and settle its unsettled arrivals.

    Args:
        execute: runs a statement on the embedded store.
        database: database of the store, an identifier; its name may differ from the backup's.
        source: contents of the backup.

    Raises:
        MigrationError: the database has tables, or the restored rows differ from the backup's.
    """
    if number(execute(_NOT_EMPTY)[0][0]):
        raise MigrationError("there are tables already: restore into a new directory, and start `spanhouse serve` with that")
    read = f"RESTORE DATABASE {source.database} AS {database} FROM File('{_ENGINES}') SETTINGS allow_different_database_def = 1"
    # Merges would at once delete rows that are older than the tables' retention.
    execute(f"{read}, structure_only = 1")
    with _merges_stopped(execute):
        execute(read)
        found = _contents(execute)
    if found != source.contents:
        differing = ", ".join(table for table in _HASHED if found.get(table) != source.contents.get(table))
        raise MigrationError(f"the restored rows differ from the backup: {differing}; remove the directory, and check the disk of the backup")
    if not migrations.plan(execute):
        settle.settle_all(execute)


def _contents(execute: Execute) -> dict[str, tuple[int, int]]:
    found = {}
    for table, compared in _HASHED.items():
        # The hash of several columns is NULL if one of them is; the hash of their tuple is not.
        rows, hashed = execute(f"SELECT count(), sum(cityHash64(tuple(*))) FROM {compared}")[0]  # noqa: S608 names of ours
        found[table] = (number(rows), number(hashed))
    return found


@contextmanager
def _merges_stopped(execute: Execute) -> Iterator[None]:
    execute("SYSTEM STOP MERGES")
    try:
        yield
    finally:
        execute("SYSTEM START MERGES")
