"""Migrations of a store's tables: discover, plan, apply. Takes an ``execute`` function, knows no driver.

``sql/`` states the present, one object a file, in the order of creation; ``sql/migrations/`` holds the numbered forward steps from release 0.1.0
on. A new store gets the present, an older one the steps that it lacks; both give the same tables. Statements end in ``;`` at the end of a line
and can be repeated. The ledger ``spanhouse_migrations`` has a row for the baseline (number 0) and for each step, with its checksum: ``started``
before its first statement, ``done`` after its last. Files are written for one server; ``cluster`` translates them for a cluster.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from spanhouse.schema.tables import lock
from spanhouse.schema.tables.cluster import on_cluster, on_every_server
from spanhouse.schema.tables.driver import Execute, MigrationError, number
from spanhouse.schema.tables.substitutions import substitute

_OBJECT_FILE: Final = re.compile(r"(\d{2})_([a-z0-9_]+)\.sql\Z")
_STEP_FILE: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql\Z")
_COMMENT: Final = re.compile(r"^\s*--.*$", re.MULTILINE)
_COMMENT_LINE: Final = re.compile(r"^ *--.*\n", re.MULTILINE)
_OF_A_PRE_RELEASE: Final = "the store was made by a pre-release: make a new one, and carry its spans over by `spanhouse store push NEW --store THIS`"

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
    """The baseline, or one forward step: its number, its name and its statements with substitutions filled in."""

    id: int
    name: str
    sha256: str
    statements: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.id:04}_{self.name}"


@dataclass(frozen=True, slots=True)
class Applied:
    """An entry of the store's ledger. ``done`` is False for a migration that was begun and not finished."""

    id: int
    name: str
    sha256: str
    done: bool


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one version: the present as a whole, and the steps that led to it.

    Attributes:
        baseline: present state; its checksum is that of its statements.
        steps: forward steps, oldest first; the checksum of each is that of its file.
    """

    baseline: Migration
    steps: tuple[Migration, ...]

    @property
    def newest(self) -> Migration:
        """The last entry in the ledger of a store that is up to date."""
        return self.steps[-1] if self.steps else self.baseline

    @classmethod
    def read(cls, directory: Traversable) -> Tables:
        """Read ``NN_object.sql`` and ``migrations/NNNN_step.sql`` below a directory.

        Raises:
            ValueError: a file is misnamed, or the numbers have a gap or a duplicate (a mistake in the package, not of the user).
        """
        present = tuple(statement for _, _, content in _files(directory, _OBJECT_FILE) for statement in _statements(content))
        baseline = Migration(0, "baseline", _hash(";\n".join(_COMMENT_LINE.sub("", statement) for statement in present)), present)
        steps = _files(directory / "migrations", _STEP_FILE)
        return cls(baseline, tuple(Migration(place, name, _hash(content), _statements(content)) for place, name, content in steps))


@cache
def load() -> Tables:
    """Return the tables of this version."""
    return Tables.read(resources.files(__package__) / "sql")


def _files(directory: Traversable, form: re.Pattern[str]) -> list[tuple[int, str, str]]:
    """Read the SQL files of a directory in their order: number, name and content of each."""
    found = []
    for file in sorted(directory.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".sql"):
            continue
        named = form.match(file.name)
        if named is None:
            raise ValueError(f"{file.name!r} is not named by a number and a name, as {form.pattern}")
        found.append((int(named[1]), named[2], file.read_text(encoding="utf-8")))
    if [place for place, _, _ in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"files are not numbered 1, 2, 3, ...: {', '.join(name for _, name, _ in found)}")
    return found


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _statements(text: str) -> tuple[str, ...]:
    pieces = (piece.strip() for piece in re.split(r";\s*$", substitute(text), flags=re.MULTILINE))
    return tuple(piece for piece in pieces if _COMMENT.sub("", piece).strip())


@cache
def statement(name: str) -> str:
    """Return the statement of ``sql/statements/NAME.sql``, comments left out and substitutions filled in."""
    text = (resources.files(__package__) / "sql" / "statements" / f"{name}.sql").read_text(encoding="utf-8")
    return substitute(_COMMENT_LINE.sub("", text)).strip()


@cache
def otlp_proto() -> str:
    """Return the protobuf schema, as text, with which the engine reads OTLP requests (message ``Request``)."""
    return (resources.files(__package__) / "sql" / "otlp.proto").read_text(encoding="utf-8")


def read_ledger(execute: Execute) -> tuple[Applied, ...]:
    """Return the entries of the store's ledger, in order; empty for a new store."""
    if not number(execute(_LEDGER_EXISTS)[0][0]):
        return ()
    return tuple(Applied(number(row[0]), str(row[1]), str(row[2]), bool(row[3])) for row in execute(_READ_LEDGER))


def plan(execute: Execute, tables: Tables | None = None) -> tuple[Migration, ...]:
    """Return the migrations that the store still needs, in order; empty if it is up to date. Changes nothing.

    Args:
        execute: runs a statement on the store.
        tables: tables of a version; None for this version's.

    Raises:
        MigrationError: the store is newer than this version, was made by a pre-release or changed by another version, or holds a half-applied
            migration.
    """
    tables = tables or load()
    applied = read_ledger(execute)
    if not applied:
        return (tables.baseline,)
    _check_known(applied, tables)
    begun = next((row for row in applied if not row.done), None)
    if begun is not None:
        raise MigrationError(
            f"migration {begun.id:04}_{begun.name} was begun and not finished: "
            "when no other migrate runs, `spanhouse migrate --resume` applies it again"
        )
    return tables.steps[len(applied) - 1 :]


def _check_known(applied: Sequence[Applied], tables: Tables) -> None:
    """Refuse a store whose tables this version does not know.

    A finished baseline is identified by the steps recorded with it, which differ between versions; without steps, by its checksum.
    """
    first = applied[0]
    if first.id == 0 and not first.done and first.sha256 != tables.baseline.sha256:
        raise MigrationError("the tables were begun by another version of spanhouse: `migrate --resume` of that version makes the rest")
    if first.id != 0 or (len(applied) == 1 and not tables.steps and first.sha256 != tables.baseline.sha256):
        raise MigrationError(_OF_A_PRE_RELEASE)
    for row, step in zip(applied[1:], tables.steps, strict=False):
        if row.id != step.id or row.sha256 != step.sha256:
            raise MigrationError(
                f"migration {row.id:04}_{row.name} was applied with another text than this version's {step}: use the version that made it"
            )
    if len(applied) - 1 > len(tables.steps):
        newest = applied[-1]
        raise MigrationError(f"the store is at {newest.id:04}_{newest.name}, newer than this version of spanhouse: upgrade spanhouse")


def apply(
    execute: Execute,
    *,
    resume: bool = False,
    cluster: str | None = None,
    wait_seconds: float = 60.0,
    report: Callable[[Migration | str], None] = lambda _: None,
    tables: Tables | None = None,
) -> tuple[Migration, ...]:
    """Apply the migrations that the store still needs, and return them. Every statement can be repeated, so a half-applied migration can be resumed.

    One apply at a time works on a store; a second one waits for the first and then finds nothing left to do.

    Args:
        execute: runs a statement on the store; needs DDL rights.
        resume: apply a half-applied migration again instead of refusing, without waiting for another apply.
        cluster: make the tables on all servers of this cluster; None for one server.
        wait_seconds: longest time to wait for another apply.
        report: called with each migration before it is applied, and with a line of text when another apply is waited for.
        tables: tables to make; None for this version's.

    Raises:
        MigrationError: as ``plan``; or another apply does not end, or the store has a cluster's tables and no cluster was named, or the reverse.
    """
    tables = tables or load()
    execute(_CREATE_LEDGER if cluster is None else on_every_server(_CREATE_LEDGER, cluster))
    _check_kind(execute, cluster)
    if _is_current(read_ledger(execute), tables):
        return ()
    where = "" if cluster is None else f"ON CLUSTER '{cluster}'"
    with lock.held(execute, take_over=resume, wait_seconds=wait_seconds, where=where, report=report):
        _check_new(execute)
        pending = _resumed(execute, tables) if resume else plan(execute, tables)
        for migration in pending:
            report(migration)
            _record(execute, migration, "started")
            for statement in migration.statements:
                for each in (statement,) if cluster is None else on_cluster(statement, cluster):
                    execute(each)
            # The baseline includes all steps.
            for one in (*tables.steps, migration) if migration is tables.baseline else (migration,):
                _record(execute, one, "done")
    return pending


def _is_current(applied: Sequence[Applied], tables: Tables) -> bool:
    if not applied:
        return False
    _check_known(applied, tables)
    return all(row.done for row in applied) and len(applied) == 1 + len(tables.steps)


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


def _resumed(execute: Execute, tables: Tables) -> tuple[Migration, ...]:
    """Return the half-applied migration and those after it; without one, the plan."""
    begun = next((row.id for row in read_ledger(execute) if not row.done), None)
    if begun is None:
        return plan(execute, tables)
    return tables.steps[begun - 1 :] if begun else (tables.baseline,)


def _record(execute: Execute, migration: Migration, state: str) -> None:
    execute(_WRITE_LEDGER, {"id": migration.id, "name": migration.name, "sha256": migration.sha256, "state": state})


MAX_DAYS_OF_A_REQUEST: Final = 400
"""A request whose spans start on more days is not stored, so that it cannot keep the store busy for minutes."""


def otlp_insert_settings() -> dict[str, object]:
    """Return the settings of the INSERT of raw OTLP requests into ``otlp_requests`` (format ``ProtobufSingle``), without the deduplication token.

    ``max_block_size`` bounds the rows processed at once, not those of a part: a quarter less memory for an insert of 40,000 spans.
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
        # Each day is a part of its own, which takes about 25 ms to write.
        "max_partitions_per_insert_block": MAX_DAYS_OF_A_REQUEST,
        "throw_on_max_partitions_per_insert_block": 1,
        "max_block_size": 8192,
        # These analysis passes cost a small insert a tenth of its time, and find nothing in these views.
        "optimize_and_compare_chain": 0,
        "query_plan_merge_expressions": 0,
    }
