"""A store's database written by the engine into a directory, and read from there into an empty store; both compared with the same counts and hashes.

The engine must have been told the directory when it was opened (``embedded.client_arguments``): what it writes there is named here alone.
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
"""Stands in a backup's directory when it is whole."""
_ENGINES: Final = "engine"
"""Directory of what the engine writes, in a backup's own."""
_HASHED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "otel_traces": "otel_traces",
        "traces": "(SELECT * EXCEPT (Settled) FROM spanhouse_trace_rows FINAL)",
        "trace_tags": "trace_tags FINAL",
        "spanhouse_prices": "spanhouse_prices",
    }
)
"""Tables of spans, traces and users' edits, and SQL of what is compared. The others follow from them, and the engine has checksums of all."""
_NOT_EMPTY: Final = "SELECT count() FROM system.tables WHERE database = currentDatabase()"


@dataclass(frozen=True, slots=True)
class Backup:
    """Contents of a backup.

    Attributes:
        database: name of the database that was written.
        contents: rows and hash of the tables that are compared.
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
            MigrationError: there is none, it is not whole, or it is of a pre-release.
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
    """Write the database. Nobody may write into the store meanwhile.

    Args:
        execute: runs a statement on the embedded store.
        database: its database, an identifier.
        under: name of the backup's directory in the one that the engine was told; '' for that one itself.
    """
    with _merges_stopped(execute):
        found = Backup(database, _contents(execute))
        execute(f"BACKUP DATABASE {database} TO File('{f'{under}/' if under else ''}{_ENGINES}')")
    return found


def restore(execute: Execute, database: str, source: Backup) -> None:
    """Read a backup into a database without tables, and settle what it had not settled.

    Args:
        execute: runs a statement on the embedded store.
        database: its database, an identifier; need not have the name of the one that was written.
        source: what the backup holds.

    Raises:
        MigrationError: the database has tables, or what came of the backup is not what was written.
    """
    if number(execute(_NOT_EMPTY)[0][0]):
        raise MigrationError("there are tables already: restore into a new directory, and start `spanhouse serve` with that")
    read = f"RESTORE DATABASE {source.database} AS {database} FROM File('{_ENGINES}') SETTINGS allow_different_database_def = 1"
    # Merges would delete at once what is older than the tables keep it.
    execute(f"{read}, structure_only = 1")
    with _merges_stopped(execute):
        execute(read)
        found = _contents(execute)
    if found != source.contents:
        differing = ", ".join(table for table in _HASHED if found.get(table) != source.contents.get(table))
        raise MigrationError(f"what was restored is not what was written: {differing}; remove the directory, and look at the disk of the backup")
    if not migrations.plan(execute):
        settle.settle_all(execute)


def _contents(execute: Execute) -> dict[str, tuple[int, int]]:
    found = {}
    for table, compared in _HASHED.items():
        # Of several columns the hash is NULL where one is, of their tuple it is not.
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
