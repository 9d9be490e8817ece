"""The vocabulary is one table, and the tables are a baseline with forward steps that nothing breaks silently."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from spanhouse.schema import conventions, trace_attributes, vocabulary
from spanhouse.schema.address import serving
from spanhouse.schema.address.dsn import data_dir, default_store
from spanhouse.schema.address.serving import Serving
from spanhouse.schema.tables import migrations, substitutions
from spanhouse.schema.tables.driver import MigrationError
from spanhouse.schema.tables.migrations import Migration, Tables, load

ROOT = Path(__file__).parents[2]


class Ledger:
    """A store that knows nothing but the ledger, for states that are hard to reach."""

    def __init__(self, *rows: tuple[int, str, str, bool]) -> None:
        self.rows = list(rows)
        self.ran: list[str] = []

    def __call__(self, sql: str, parameters: Mapping[str, object] | None = None, /) -> Sequence[Sequence[object]]:
        if sql.startswith("EXISTS"):
            return [[int("migrations" in sql)]]
        if sql.startswith("SELECT engine"):
            return []
        if sql.startswith("SELECT"):
            return self.rows
        self.ran.append(f"{parameters['id']} {parameters['state']}" if parameters else sql)
        return []


ONE = Migration(1, "one", "first", ("ALTER TABLE otel_traces ADD COLUMN One UInt8", "ALTER TABLE otel_traces DROP INDEX idx_duration"))
TWO = Migration(2, "two", "second", ("ALTER TABLE otel_traces ADD COLUMN Two UInt8",))
STEPPED = Tables(Migration(0, "baseline", "present", ("CREATE TABLE otel_traces",)), (ONE, TWO))
"""The tables of a version to come."""


def applied(*, upto: int, baseline: str = "present", done: bool = True) -> list[tuple[int, str, str, bool]]:
    """The ledger of a store that has the steps up to a number, the last of them half or whole."""
    rows = [(0, "baseline", baseline, True), *((step.id, step.name, step.sha256, True) for step in STEPPED.steps[:upto])]
    return [*rows[:-1], (*rows[-1][:3], done)]


def test_no_key_has_two_meanings() -> None:
    names = vocabulary.process_key_names()
    assert len(names) == len(set(names))


def test_each_attribute_of_the_filter_language_reads_columns_that_the_view_has() -> None:
    (view,) = (statement for statement in load().baseline.statements if "VIEW IF NOT EXISTS traces\n" in statement)
    for attribute in trace_attributes.ATTRIBUTES.values():
        for column in ("Timestamp", "Duration", "RootSpanId", "State", "Name", "TraceId", "ClientRequestId"):
            if column in attribute.sql:
                assert f"    {column},\n" in view


def test_the_tables_know_every_process_key_and_trace_key() -> None:
    text = "\n".join([*load().baseline.statements, migrations.statement("settled_rows"), migrations.statement("models_feed")])
    keys = [
        *vocabulary.process_key_names(),
        *vocabulary.TRACE_FIELDS,
        *(key for key, _ in conventions.codes()),
        *conventions.PREFIXES,
        *conventions.TRACE_ATTRIBUTES,
        vocabulary.SESSION_ATTRIBUTE,
        vocabulary.USER_ATTRIBUTE,
        vocabulary.SESSION,
        vocabulary.TRACE_USER,
        vocabulary.TRACE_METADATA_PREFIX,
        vocabulary.TRACE_TAG_PREFIX,
        vocabulary.TRACE_NAME_TAG,
        vocabulary.MODEL_ID.mlflow,
    ]
    for key in keys:
        assert f"'{key}'" in text, key


def test_the_view_traces_has_the_columns_and_comments_of_the_rows_it_shows() -> None:
    described: dict[str, dict[str, str]] = {}
    for statement in load().baseline.statements:
        if found := re.search(r"CREATE (?:TABLE|VIEW) IF NOT EXISTS (traces|spanhouse_trace_rows)\n", statement):
            described[found[1]] = dict(re.findall(r"^    (\w+) [^\n]*COMMENT ('(?:[^']|'')*')", statement, re.MULTILINE))
    internal = {"Sorted", "Version", "Gone", "TraceHash", "Settled", "Rank", "Doubt", "Partial"}
    rows = {name: comment for name, comment in described["spanhouse_trace_rows"].items() if name not in internal}
    assert described["traces"] == rows


def test_a_substitution_that_is_not_in_the_list_is_refused() -> None:
    with pytest.raises(KeyError):
        substitutions.substitute("SELECT {user_input}")


def test_the_package_holds_one_object_a_file_and_no_placeholder_is_left() -> None:
    found = load()
    assert found.newest.id == len(found.steps)
    assert not any(statement.endswith(";") or re.search(r"\{\w+[}(]", statement) for statement in found.baseline.statements)
    made = [re.search(r"CREATE (?:TABLE|VIEW|MATERIALIZED VIEW) IF NOT EXISTS (\w+)", statement) for statement in found.baseline.statements]
    files = sorted(path.stem[3:] for path in (ROOT / "schema/spanhouse/schema/tables/sql").glob("*.sql"))
    assert sorted(one[1] for one in made if one) == files


def test_files_with_a_gap_in_their_numbers_or_without_a_number_are_refused(tmp_path: Path) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "01_a.sql").write_text("SELECT 1;\n")
    (tmp_path / "migrations" / "README.md").write_text("no statement")
    assert Tables.read(tmp_path).newest.statements == ("SELECT 1",)
    for misnamed in ("03_b.sql", "b.sql"):
        (tmp_path / misnamed).write_text("SELECT 2;\n")
        with pytest.raises(ValueError, match="number"):
            Tables.read(tmp_path)
        (tmp_path / misnamed).unlink()


def test_a_new_store_needs_the_baseline_an_older_one_its_steps_and_a_current_one_nothing() -> None:
    assert migrations.plan(Ledger()) == (load().baseline,)
    assert migrations.plan(Ledger(), STEPPED) == (STEPPED.baseline,)
    assert migrations.plan(Ledger(*applied(upto=0, baseline="of another version")), STEPPED) == (ONE, TWO)
    assert migrations.plan(Ledger(*applied(upto=1)), STEPPED) == (TWO,)
    assert migrations.plan(Ledger(*applied(upto=2)), STEPPED) == ()


def test_a_store_of_a_newer_version_is_refused() -> None:
    newer = [*applied(upto=2), (3, "future", "x", True)]
    with pytest.raises(MigrationError, match="newer than this version"):
        migrations.plan(Ledger(*newer), STEPPED)
    with pytest.raises(MigrationError, match="newer than this version"):
        migrations.apply(Ledger(*applied(upto=1)))


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("ledger", [[(1, "otel_traces", "old", True), (2, "otlp_requests", "old", False)], applied(upto=0, baseline="before 0.1.0")])
def test_a_store_of_a_pre_release_is_refused_in_one_line_that_says_how_to_carry_its_spans_over(
    ledger: list[tuple[int, str, str, bool]], resume: bool
) -> None:
    said = r"\Athe store was made by a pre-release: .*`spanhouse store push NEW --store THIS`\Z"
    with pytest.raises(MigrationError, match=said):
        migrations.plan(Ledger(*ledger))
    with pytest.raises(MigrationError, match=said):
        migrations.apply(Ledger(*ledger), resume=resume)


def test_a_step_with_another_text_is_refused() -> None:
    changed = [applied(upto=0)[0], (1, "one", "other", True)]
    with pytest.raises(MigrationError, match="another text"):
        migrations.plan(Ledger(*changed), STEPPED)


@pytest.mark.parametrize("resume", [False, True])
def test_a_baseline_that_another_version_began_is_left_to_that(resume: bool) -> None:
    begun = Ledger(*applied(upto=0, baseline="other", done=False))
    with pytest.raises(MigrationError, match="begun by another version"):
        migrations.apply(begun, resume=resume, tables=STEPPED)


def test_a_half_applied_step_stops_until_it_is_resumed() -> None:
    ledger = Ledger(*applied(upto=1, done=False))
    with pytest.raises(MigrationError, match=r"0001_one was begun and not finished.*--resume"):
        migrations.apply(ledger, tables=STEPPED)
    assert not any("started" in ran for ran in ledger.ran)
    assert migrations.apply(ledger, resume=True, tables=STEPPED) == (ONE, TWO)
    assert [ran for ran in ledger.ran if ran[0].isdigit()] == ["1 started", "1 done", "2 started", "2 done"]


def test_each_migration_is_recorded_before_its_first_and_after_its_last_statement() -> None:
    ledger = Ledger(*applied(upto=0))
    seen: list[Migration | str] = []
    migrations.apply(ledger, report=seen.append, tables=STEPPED)
    _, lock, *ran, unlock = ledger.ran
    assert ran == ["1 started", *ONE.statements, "1 done", "2 started", *TWO.statements, "2 done"]
    assert lock.startswith("CREATE TABLE spanhouse_migrating")
    assert unlock.startswith("DROP TABLE IF EXISTS spanhouse_migrating")
    assert tuple(seen) == (ONE, TWO)


def test_a_baseline_brings_all_steps_with_it() -> None:
    ledger = Ledger()
    migrations.apply(ledger, tables=STEPPED)
    assert ledger.ran[2:-1] == ["0 started", *STEPPED.baseline.statements, "1 done", "2 done", "0 done"]


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
