"""The vocabulary is one table, and the migrations are a chain that nothing breaks silently."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from spanhouse.schema import migrations, serving, substitutions, trace_attributes, vocabulary
from spanhouse.schema.execute import MigrationError
from spanhouse.schema.migrations import Migration
from spanhouse.schema.serving import Serving
from spanhouse.schema.store import data_dir, default_store

ROOT = Path(__file__).parents[2]


class Ledger:
    """A store that knows nothing but the ledger, for states that are hard to reach."""

    def __init__(self, *rows: tuple[int, str, str, bool], condition: int = 1) -> None:
        self.rows = list(rows)
        self.condition = condition
        self.ran: list[str] = []

    def __call__(self, sql: str, parameters: Mapping[str, object] | None = None, /) -> Sequence[Sequence[object]]:
        if sql.startswith("EXISTS"):
            return [[int("migrations" in sql)]]
        if sql.startswith("SELECT engine"):
            return []
        if sql.startswith("SELECT"):
            return self.rows if "spanhouse_migrations" in sql else [[self.condition]]
        self.ran.append(str(parameters["state"]) if parameters else sql)
        return []


def applied(*, upto: int | None = None, done: bool = True) -> list[tuple[int, str, str, bool]]:
    rows = [(migration.id, migration.name, migration.sha256, True) for migration in migrations.load()[:upto]]
    return rows if done else [*rows[:-1], (*rows[-1][:3], False)]


def test_no_key_has_two_meanings() -> None:
    names = vocabulary.process_key_names()
    assert len(names) == len(set(names))


def test_each_attribute_of_the_filter_language_reads_columns_that_the_view_has() -> None:
    view = [statement for migration in migrations.load() for statement in migration.statements if " traces_merged AS\n" in statement][-1]
    for attribute in trace_attributes.ATTRIBUTES.values():
        for column in ("Timestamp", "Duration", "RootSpanId", "State", "Name", "TraceId", "ClientRequestId"):
            if column in attribute.sql:
                assert f"AS {column}" in view


def test_the_tables_know_every_process_key_and_trace_key() -> None:
    text = "\n".join(statement for migration in migrations.load() for statement in migration.statements)
    keys = [
        *vocabulary.process_key_names(),
        *vocabulary.TRACE_FIELDS,
        *vocabulary.SESSION_ATTRIBUTES,
        *vocabulary.USER_ATTRIBUTES,
        vocabulary.SESSION,
        vocabulary.TRACE_USER,
        vocabulary.TRACE_METADATA_PREFIX,
        vocabulary.TRACE_TAG_PREFIX,
        vocabulary.TRACE_NAME_TAG,
        vocabulary.MODEL_ID.mlflow,
    ]
    for key in keys:
        assert f"'{key}'" in text, key


def test_a_substitution_that_is_not_in_the_list_is_refused() -> None:
    with pytest.raises(KeyError):
        substitutions.substitute("SELECT {user_input}")


def test_migrations_are_numbered_without_a_gap_and_hold_statements() -> None:
    found = migrations.load()
    assert [migration.id for migration in found] == list(range(1, len(found) + 1))
    assert all(migration.statements for migration in found)
    assert not any(statement.endswith(";") or "{" in statement for migration in found for statement in migration.statements)


def test_a_new_store_needs_everything_and_a_current_one_nothing() -> None:
    assert migrations.plan(Ledger()) == migrations.load()
    assert migrations.plan(Ledger(*applied())) == ()
    assert [migration.id for migration in migrations.plan(Ledger(*applied(upto=1)))] == [migration.id for migration in migrations.load()[1:]]


def test_a_store_of_a_newer_version_is_refused() -> None:
    with pytest.raises(MigrationError, match="newer than this version"):
        migrations.plan(Ledger(*applied(), (99, "future", "x", True)))


def test_a_migration_with_another_text_is_refused() -> None:
    changed = applied()
    changed[0] = (1, "otel_traces", "other", True)
    with pytest.raises(MigrationError, match="another text"):
        migrations.plan(Ledger(*changed))


def test_a_half_applied_migration_stops_until_it_is_resumed() -> None:
    ledger = Ledger(*applied(upto=2, done=False))
    with pytest.raises(MigrationError, match="--resume"):
        migrations.apply(ledger)
    assert [statement for statement in ledger.ran if statement in {"started", "done"}] == []
    resumed = migrations.apply(ledger, resume=True)
    assert [migration.id for migration in resumed] == [migration.id for migration in migrations.load()[1:]]
    assert ledger.ran.count("started") == ledger.ran.count("done") == len(resumed)


def test_each_migration_is_recorded_before_its_first_and_after_its_last_statement() -> None:
    ledger = Ledger()
    seen: list[Migration | str] = []
    migrations.apply(ledger, report=seen.append)
    expected = [mark for migration in migrations.load() for mark in ("started", *migration.statements, "done")]
    _, lock, *ran, unlock = ledger.ran
    assert ran == expected
    assert lock.startswith("CREATE TABLE spanhouse_migrating")
    assert unlock.startswith("DROP TABLE IF EXISTS spanhouse_migrating")
    assert tuple(seen) == migrations.load()


def test_a_statement_with_a_condition_runs_only_where_it_holds() -> None:
    conditional = [statement for migration in migrations.load() for statement in migration.statements if "-- only if: SELECT" in statement]
    assert conditional
    for condition in (0, 1):
        ledger = Ledger(condition=condition)
        migrations.apply(ledger)
        assert [statement in ledger.ran for statement in conditional] == [bool(condition)] * len(conditional)


def test_the_data_directory_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPANHOUSE_DATA_DIR", str(tmp_path))
    assert data_dir() == tmp_path
    assert default_store().directory == tmp_path / "store"
    monkeypatch.setenv("SPANHOUSE_DATA_DIR", " ")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert str(data_dir()).startswith((str(tmp_path / "xdg"), str(Path.home() / "Library")))


def test_a_running_server_is_found_by_its_file_and_a_broken_file_names_none(tmp_path: Path) -> None:
    file = tmp_path / "deep" / serving.FILE_NAME
    assert serving.read_serving(file) is None
    found = Serving(pid=os.getpid(), store="chdb:///x", grpc="a:1", http="off", clickhouse_http="a:2", console="off")
    found.write(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert serving.read_serving(file) == found
    assert found.alive()
    for text in ("", "{", "[]", json.dumps({"pid": 1}), "null"):
        file.write_text(text)
        assert serving.read_serving(file) is None


def test_no_room_hides_the_others() -> None:
    """A module directly in a folder `spanhouse` would make it a package, and only its own room importable."""
    assert not [path for path in ROOT.glob("*/spanhouse/__init__.py") if ".venv" not in path.parts]
