"""The table files and their runner: discover, plan, apply. Takes an ``execute`` function, knows no driver.

Files are numbered, forward only, and hold statements that end in ``;`` at the end of a line. Each is recorded in the ledger
``spanhouse_migrations`` with its checksum: ``started`` before its first statement, ``done`` after its last. They are written for one
server; ``cluster`` makes of them what a cluster needs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from spanhouse.schema import lock
from spanhouse.schema.cluster import of_local_tables, on_cluster, on_every_server
from spanhouse.schema.execute import Execute, MigrationError, number
from spanhouse.schema.substitutions import substitute

_FILE_NAME: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql\Z")
_CONDITION: Final = re.compile(r"^-- only if: (?P<query>SELECT .*)$", re.MULTILINE)
_COMMENT: Final = re.compile(r"^\s*--.*$", re.MULTILINE)

_CREATE_LEDGER: Final = """CREATE TABLE IF NOT EXISTS spanhouse_migrations
(
    id UInt32,
    name String,
    sha256 String,
    state LowCardinality(String),
    at DateTime64(3) DEFAULT now64(3)
)
ENGINE = MergeTree
ORDER BY (id, at)"""
_READ_LEDGER: Final = (
    "SELECT id, name, argMax(sha256, (at, state = 'done')), max(state = 'done') FROM spanhouse_migrations GROUP BY id, name ORDER BY id"
)
_LEDGER_EXISTS: Final = "EXISTS TABLE spanhouse_migrations"
_SPANS_EXIST: Final = "EXISTS TABLE otel_traces"
_LEDGER_ENGINE: Final = "SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = 'spanhouse_migrations'"
_WRITE_LEDGER: Final = "INSERT INTO spanhouse_migrations (id, name, sha256, state) SELECT {id:UInt32}, {name:String}, {sha256:String}, {state:String}"


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file: its id, its name and its statements, substitutions filled in."""

    id: int
    name: str
    sha256: str
    statements: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.id:04}_{self.name}"


@dataclass(frozen=True, slots=True)
class Applied:
    """A migration as the store's ledger has it. ``done`` is False for one that was begun and not finished."""

    id: int
    name: str
    sha256: str
    done: bool


@cache
def load() -> tuple[Migration, ...]:
    """All migrations of this version, in order.

    Raises:
        ValueError: a file is misnamed, or the numbers have a gap or a duplicate (a mistake in the package, not of the user).
    """
    found = []
    for file in sorted((resources.files(__package__) / "sql").iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".sql"):
            continue
        named = _FILE_NAME.match(file.name)
        if named is None:
            raise ValueError(f"migration {file.name!r} is not named NNNN_name.sql")
        text = file.read_text(encoding="utf-8")
        found.append(Migration(int(named[1]), named[2], hashlib.sha256(text.encode()).hexdigest(), _statements(text)))
    if [migration.id for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"migrations are not numbered 1, 2, 3, ...: {', '.join(map(str, found))}")
    return tuple(found)


def _statements(text: str) -> tuple[str, ...]:
    pieces = (piece.strip() for piece in re.split(r";\s*$", substitute(text), flags=re.MULTILINE))
    return tuple(piece for piece in pieces if _COMMENT.sub("", piece).strip())


@cache
def otlp_proto() -> str:
    """The protobuf schema, as text, with which the engine reads OTLP requests (message ``Request``)."""
    return (resources.files(__package__) / "sql" / "otlp.proto").read_text(encoding="utf-8")


def read_ledger(execute: Execute) -> tuple[Applied, ...]:
    """What the store says was applied, in order; empty for a new store."""
    if not number(execute(_LEDGER_EXISTS)[0][0]):
        return ()
    return tuple(Applied(number(row[0]), str(row[1]), str(row[2]), bool(row[3])) for row in execute(_READ_LEDGER))


def plan(execute: Execute) -> tuple[Migration, ...]:
    """The migrations that the store still needs, in order; empty if it is up to date. Changes nothing.

    Raises:
        MigrationError: the store is newer than this version, was changed by another one, or holds a half-applied migration.
    """
    known = load()
    applied = read_ledger(execute)
    for row, migration in zip(applied, known, strict=False):
        if row.id != migration.id or row.sha256 != migration.sha256:
            raise MigrationError(
                f"migration {row.id:04}_{row.name} was applied with another text than this version's {migration}: use the version that made it"
            )
        if not row.done:
            raise MigrationError(
                f"migration {migration} was begun and not finished: when no other migrate runs, `spanhouse migrate --resume` applies it again"
            )
    if len(applied) > len(known):
        newest = applied[-1]
        raise MigrationError(f"the store is at {newest.id:04}_{newest.name}, newer than this version of spanhouse: upgrade spanhouse")
    return known[len(applied) :]


def apply(
    execute: Execute,
    *,
    resume: bool = False,
    cluster: str | None = None,
    wait_seconds: float = 60.0,
    report: Callable[[Migration | str], None] = lambda _: None,
) -> tuple[Migration, ...]:
    """Apply what the store still needs and return it. Every statement can be repeated, so a half-applied migration can be resumed.

    One apply at a time works on a store; another one waits for it and then finds nothing left to do.

    Args:
        execute: runs a statement on the store; needs DDL rights.
        resume: apply a half-applied migration again instead of refusing, and wait for nobody.
        cluster: make the tables on all servers of this cluster; None for one server.
        wait_seconds: how long to wait for another apply.
        report: called with each migration before it is applied, and with a line of text when another apply is waited for.

    Raises:
        MigrationError: as ``plan``; or another apply does not end, or the store's tables are of the other kind, of a cluster or of one server.
    """
    execute(_CREATE_LEDGER if cluster is None else on_every_server(_CREATE_LEDGER, cluster))
    _check_kind(execute, cluster)
    if [(row.id, row.sha256, row.done) for row in read_ledger(execute)] == [(migration.id, migration.sha256, True) for migration in load()]:
        return ()
    where = "" if cluster is None else f"ON CLUSTER '{cluster}'"
    with lock.held(execute, take_over=resume, wait_seconds=wait_seconds, where=where, report=report):
        _check_new(execute)
        pending = _resumable(execute) if resume else plan(execute)
        for migration in pending:
            report(migration)
            _record(execute, migration, "started")
            for statement in migration.statements:
                _run(execute, statement, cluster)
            _record(execute, migration, "done")
    return pending


def _check_kind(execute: Execute, cluster: str | None) -> None:
    found = execute(_LEDGER_ENGINE)
    if found and str(found[0][0]).startswith("Replicated") != (cluster is not None):
        raise MigrationError(
            "the store's tables are those of one server: leave out --cluster"
            if cluster
            else "the store's tables are those of a cluster: name it by --cluster"
        )


def _check_new(execute: Execute) -> None:
    if not read_ledger(execute) and number(execute(_SPANS_EXIST)[0][0]):
        raise MigrationError(
            "the database has an otel_traces that spanhouse did not make: use another database, and adopt that table (--adopt, --from)"
        )


def _run(execute: Execute, statement: str, cluster: str | None) -> None:
    """Run a statement, unless its comment ``-- only if: SELECT ...`` holds a query that gives nothing or 0."""
    condition = _CONDITION.search(statement)
    query = None if condition is None else condition["query"] if cluster is None else of_local_tables(condition["query"])
    if query is None or any(number(row[0]) for row in execute(query)):
        for each in (statement,) if cluster is None else on_cluster(statement, cluster):
            execute(each)


def _resumable(execute: Execute) -> tuple[Migration, ...]:
    applied = read_ledger(execute)
    if applied and not applied[-1].done and applied[-1].id <= len(load()):
        begun = load()[applied[-1].id - 1]
        if begun.sha256 != applied[-1].sha256:
            raise MigrationError(f"migration {begun} was begun with another text: resume it with the version that began it")
        return load()[begun.id - 1 :]
    return plan(execute)


def _record(execute: Execute, migration: Migration, state: str) -> None:
    execute(_WRITE_LEDGER, {"id": migration.id, "name": migration.name, "sha256": migration.sha256, "state": state})


MAX_DAYS_OF_A_REQUEST: Final = 400
"""A request whose spans start on more days than these is not stored, so that it cannot keep the store busy for minutes."""


def otlp_insert_settings() -> dict[str, object]:
    """Settings of the INSERT of raw OTLP requests into ``otlp_requests`` (format ``ProtobufSingle``), the deduplication token aside.

    ``max_block_size`` bounds the rows that are worked on at once, not those of a part: a quarter less memory for an insert of 40,000 spans.
    ``deduplicate_blocks_in_dependent_materialized_views`` and ``async_insert`` changed their defaults in 26.2, so they are named.
    """
    return {
        "format_schema_source": "string",
        "format_schema": otlp_proto(),
        "format_schema_message_name": "Request",
        "input_format_protobuf_oneof_presence": 1,
        "output_format_json_escape_forward_slashes": 0,
        "deduplicate_blocks_in_dependent_materialized_views": 1,
        "insert_deduplicate": 1,
        "async_insert": 0,
        # On a cluster the answer comes after the shards have the rows.
        "distributed_foreground_insert": 1,
        # Each day is a part of its own, some 25 ms to write.
        "max_partitions_per_insert_block": MAX_DAYS_OF_A_REQUEST,
        "throw_on_max_partitions_per_insert_block": 1,
        "max_block_size": 8192,
    }
