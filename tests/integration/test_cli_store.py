"""The read verbs and `migrate` on a real embedded store, in this process."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.otlp import request, span, trace
from tests.support.store import TestStore

from spanhouse.cli import main
from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.migrations import Migration

PRODUCTION = {"mlflow.traceMetadata.mlflow.source.type": "production"}
START = 1_790_000_000_000_000_000
RESOURCE = {"service.name": "shop", "vcs.ref.head.revision": "0123456789" * 4}


class Result:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def error(self) -> str:
        assert self.out == ""
        assert self.err.startswith("spanhouse: ")
        assert self.err.count("\n") == 1
        return self.err.removeprefix("spanhouse: ").rstrip("\n")


class Command:
    """The command on one store."""

    def __init__(self, store: TestStore, capsys: pytest.CaptureFixture[str]) -> None:
        self._store, self._capsys = store, capsys

    def __call__(self, *words: str) -> Result:
        code = main([*words, "--store", self._store.dsn])
        printed = self._capsys.readouterr()
        return Result(code, printed.out, printed.err)


@pytest.fixture
def spanhouse(store: TestStore, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command on an empty store."""
    return Command(store, capsys)


@pytest.fixture(scope="module")
def shop(module_store: TestStore) -> TestStore:
    """Three traces: versions 1.0 and 1.1 in production, of which 1.1 failed, and 1.1 in staging. For tests that only read."""
    old, new = ({**RESOURCE, "service.version": version} for version in ("1.0", "1.1"))
    staging = {"mlflow.traceMetadata.mlflow.source.type": "staging", "mlflow.traceMetadata.odd": "\x1b[2Ja\nb"}
    module_store.ingest(
        trace(name="old", attributes=PRODUCTION, resource=old, start_ns=START),
        trace(name="new", attributes=PRODUCTION, resource=new, start_ns=START + 10**9, error=True, duration_ns=10**9),
        trace(name="tried", attributes=staging, resource=new, start_ns=START + 2 * 10**9),
    )
    return module_store


@pytest.fixture
def at_shop(shop: TestStore, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command on the store ``shop``."""
    return Command(shop, capsys)


def names(result: Result) -> list[str]:
    assert result.code == 0, result.err
    return [found["name"] for found in json.loads(result.out)]


def test_search_gives_what_the_filter_finds_newest_first(at_shop: Command) -> None:
    assert names(at_shop("search", "--format", "json")) == ["tried", "new", "old"]
    assert names(at_shop("search", "metadata.mlflow.source.type = 'production'", "--format", "json")) == ["new", "old"]
    assert names(at_shop("search", "metadata.`mlflow.source.type` = 'production' AND metadata.app_version = '1.0'", "--format", "json")) == ["old"]


def test_search_takes_an_order_and_a_limit(at_shop: Command) -> None:
    assert names(at_shop("search", "--order-by", "execution_time_ms DESC", "--limit", "1", "--format", "json")) == ["new"]
    assert names(at_shop("search", "--order-by", "timestamp_ms ASC", "--limit", "2", "--format", "json")) == ["old", "new"]


def test_search_in_json_has_all_that_is_known_of_a_trace(at_shop: Command) -> None:
    (found,) = json.loads(at_shop("search", "name = 'new'", "--format", "json").out)
    assert found["trace_id"].startswith("tr-")
    assert found["status"] == found["state"] == "ERROR"
    assert found["execution_time_ms"] == 1000
    assert found["timestamp_ms"] == 1_790_000_001_000
    assert found["trace_metadata"]["app_version"] == "1.1"
    assert found["tags"] == {"mlflow.traceName": "new"}
    assert found["span_count"] == 3


def test_search_in_csv_has_a_head_and_a_line_for_each_trace(at_shop: Command) -> None:
    rows = list(csv.DictReader(io.StringIO(at_shop("search", "--format", "csv").out, newline="")))
    assert [row["name"] for row in rows] == ["tried", "new", "old"]
    assert json.loads(rows[0]["trace_metadata"])["odd"] == "\x1b[2Ja\nb"
    assert at_shop("search", "name = 'nobody'", "--format", "csv").out.splitlines() == [",".join(rows[0])]


def test_the_table_names_each_trace_by_an_id_that_trace_takes(at_shop: Command) -> None:
    head, line = at_shop("search", "name = 'new'").out.splitlines()
    assert head.split() == ["time", "trace", "name", "service", "state", "duration", "version", "commit", "source", "type"]
    _, _, trace_id, *rest = line.split()
    assert rest == ["new", "shop", "ERROR", "1000", "ms", "1.1", "0123456", "production"]
    shown = at_shop("trace", trace_id)
    assert shown.code == 0
    assert at_shop("trace", f"tr-{trace_id}").out == shown.out


def test_a_search_that_finds_nothing_exits_with_1_only_if_asked_to(spanhouse: Command) -> None:
    found = spanhouse("search", "name = 'nobody'")
    assert (found.code, found.out, found.err) == (0, "", "no trace matches\n")
    assert spanhouse("search", "name = 'nobody'", "--fail-if-empty").code == 1
    assert spanhouse("search", "--fail-if-empty", "--format", "json").code == 1


def test_a_search_that_finds_something_exits_with_0_also_if_asked_to_fail_when_empty(at_shop: Command) -> None:
    assert at_shop("search", "--fail-if-empty").code == 0


@pytest.mark.parametrize("words", [("stats = 'x'",), ("--order-by", "nonsense DESC"), ("name RLIKE '('",), ("--limit", "50001")])
def test_a_mistake_in_a_search_is_one_line_and_exit_code_2(words: tuple[str, ...], at_shop: Command) -> None:
    result = at_shop("search", *words)
    assert result.code == 2
    assert result.error


def test_trace_shows_spans_metadata_and_tags_with_nothing_that_steers_the_terminal(at_shop: Command, shop: TestStore) -> None:
    (trace_id,) = (row["TraceId"] for row in shop.rows("SELECT TraceId FROM traces WHERE Name = 'tried'"))
    shown = at_shop("trace", str(trace_id)).out
    assert shown.startswith(f"tr-{trace_id}  OK  5 ms  ")
    assert "├─ child 0" in shown
    assert "└─ child 1" in shown
    assert "\\x1b[2Ja\\x0ab" in shown
    assert "\x1b" not in shown
    assert "mlflow.traceName  tried" in shown


def test_trace_of_an_unknown_id_is_one_line_and_exit_code_1(spanhouse: Command) -> None:
    for unknown in ("0" * 32, "tr-" + "f" * 32, "nonsense"):
        result = spanhouse("trace", unknown)
        assert result.code == 1
        assert result.error == f"no trace {unknown}; `spanhouse search` lists the newest"


def test_trace_shows_a_trace_whose_root_has_not_come_yet(spanhouse: Command, store: TestStore) -> None:
    late = span("child", parent=b"parent00", flags=0x100)
    store.ingest(request([late]))
    shown = spanhouse("trace", late.trace_id.hex())
    assert shown.code == 0
    assert "IN_PROGRESS  -" in shown.out


def test_keys_lists_what_there_is_to_filter_by(at_shop: Command) -> None:
    found = {row["key"]: (row["values"], row["complete"]) for row in json.loads(at_shop("keys", "--format", "json").out)}
    assert found["app_version"] == (2, True)
    assert found["odd"] == (1, True)


def test_values_counts_the_traces_of_each_value_most_frequent_first(at_shop: Command) -> None:
    assert json.loads(at_shop("values", "app_version", "--format", "json").out) == [{"value": "1.1", "traces": 2}, {"value": "1.0", "traces": 1}]


def test_values_of_an_unknown_key_is_one_line_and_exit_code_1(at_shop: Command) -> None:
    result = at_shop("values", "nope'")
    assert result.code == 1
    assert 'no trace has metadata "nope\'"' in result.error


def test_sql_prints_the_rows_of_a_statement_in_each_format(at_shop: Command) -> None:
    statement = "SELECT Name, Duration / 1e6 AS ms FROM traces WHERE Name != 'tried' ORDER BY Name;"
    assert json.loads(at_shop("sql", statement, "--format", "json").out) == [{"Name": "new", "ms": 1000.0}, {"Name": "old", "ms": 5.0}]
    assert at_shop("sql", statement, "--format", "csv").out.splitlines() == ["Name,ms", "new,1000.0", "old,5.0"]
    assert [line.split() for line in at_shop("sql", statement).out.splitlines()] == [["Name", "ms"], ["new", "1000.0"], ["old", "5.0"]]


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE otel_traces",
        "INSERT INTO otel_traces (TraceId) VALUES ('x')",
        "SELECT 1; DROP TABLE otel_traces",
        "SET readonly = 0",
        "SYSTEM SHUTDOWN",
        "/* SELECT */ TRUNCATE TABLE otel_traces",
        "EXPLAIN AST SELECT 1; DROP TABLE otel_traces",
        "CREATE TEMPORARY TABLE x (a Int8)",
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
        "SELECT nope FROM traces",
        "SELECT 1 FORMAT JSON",
        "",
    ],
)
def test_sql_refuses_what_does_not_only_read_and_what_is_wrong_in_one_line(statement: str, at_shop: Command, shop: TestStore) -> None:
    result = at_shop("sql", statement)
    assert result.code == 2
    assert result.error.startswith("sql: ")
    assert shop.rows("SELECT count() AS spans FROM otel_traces") == [{"spans": 9}]


@pytest.mark.parametrize(
    "statement", ["SELECT 1 INTO OUTFILE '{}'", "(SELECT 1) UNION ALL SELECT 2 INTO OUTFILE '{}' FORMAT CSV", "SELECT 1; SELECT 2 INTO OUTFILE '{}'"]
)
def test_sql_writes_no_file(statement: str, at_shop: Command, tmp_path: Path) -> None:
    file = tmp_path / "written"
    assert at_shop("sql", statement.format(file)).code == 2
    assert not file.exists()


@pytest.mark.parametrize(
    "statement",
    ["SHOW TABLES", "DESCRIBE TABLE traces", "EXISTS TABLE traces", "EXPLAIN SELECT 1", "WITH 1 AS one SELECT one", "SELECT 'INTO OUTFILE'"],
)
def test_sql_runs_what_only_reads(statement: str, at_shop: Command) -> None:
    result = at_shop("sql", statement, "--format", "json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out)


def test_explain_prints_sql_without_values_and_the_parameters_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "metadata.other = '1.\u202e1' AND execution_time > 5"]) == 0
    first, *others = capsys.readouterr().out.removeprefix("-- ").split("\n-- ")
    assert first.startswith("1 of 3: newest first")
    assert [other.partition(":")[0] for other in others] == ["2 of 3", "3 of 3"]
    sql, _, parameters = first.strip().partition("\n\n")
    assert "FROM spanhouse_trace_rows" in sql
    assert "1.\\u202e1" not in sql
    values = dict(line.split(" = ", 1) for line in parameters.splitlines())
    assert {json.loads(value) for value in values.values()} >= {"other", "1.\u202e1", 5}
    assert "\u202e" not in parameters
    assert all(f"{{{name}:" in sql for name in values)


def test_explain_analyze_says_what_each_statement_of_the_search_reads(at_shop: Command) -> None:
    shown = at_shop("explain", "status = 'ERROR'", "--analyze").out
    assert [line for line in shown.splitlines() if line.startswith("-- 1 of 2: 1 rows; read ")]
    assert shown.splitlines()[-1].startswith("-- all: read ")
    steps = json.loads(at_shop("explain", "status = 'ERROR'", "--analyze", "--format", "json").out)
    assert [step["rows"] for step in steps] == [1, 1]
    assert all(step["sql"].startswith("SELECT") and step["read_rows"] > 0 and step["read_bytes"] > 0 for step in steps)
    assert at_shop("explain", "stat = 'ERROR'", "--analyze").code == 2


def test_a_trace_for_programs_is_all_that_is_known_of_it_or_a_row_for_each_span(at_shop: Command) -> None:
    (known,) = json.loads(at_shop("search", "name = 'new'", "--format", "json").out)
    found = json.loads(at_shop("trace", known["trace_id"], "--format", "json").out)
    spans = found.pop("spans")
    assert [part["name"] for part in found.pop("services")] == ["shop"]
    assert found == known
    assert spans[0]["name"] == "new"
    rows = list(csv.DictReader(io.StringIO(at_shop("trace", known["trace_id"], "--format", "csv").out, newline="")))
    assert [(row["span_id"], json.loads(row["attributes"])) for row in rows] == [(span["span_id"], span["attributes"]) for span in spans]


def test_migrate_plans_makes_the_database_and_is_done_the_second_time(store: TestStore, capsys: pytest.CaptureFixture[str]) -> None:
    dsn = f"{store.dsn}_new"
    newest = str(migrations.load().newest)
    for words, said in (
        (["--plan"], ["would apply 0000_baseline"]),
        ([], ["applying 0000_baseline", f"{dsn} is now at {newest}"]),
        ([], [f"{dsn} is up to date: {newest}"]),
        (["--plan"], [f"{dsn} is up to date: {newest}"]),
    ):
        assert main(["migrate", "--store", dsn, *words]) == 0
        assert capsys.readouterr().out.splitlines() == said
    assert main(["search", "--store", dsn, "--format", "json"]) == 0
    store.client.command(f"DROP DATABASE {store.database}_new")


def test_a_store_that_lacks_a_step_gets_it_alone_and_doctor_says_so_before(
    store: TestStore, spanhouse: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = replace(migrations.load(), steps=(Migration(1, "later", "x", ("CREATE TABLE IF NOT EXISTS later (n UInt8) ENGINE = Memory",)),))
    monkeypatch.setattr(migrations, "load", lambda: later)
    doctor = spanhouse("doctor")
    assert doctor.code == 3
    assert "0001_later not applied; `spanhouse serve` applies them when it starts" in doctor.out
    assert spanhouse("migrate", "--plan").out == "would apply 0001_later\n"
    assert spanhouse("migrate").out == f"applying 0001_later\n{store.dsn} is now at 0001_later\n"
    assert spanhouse("migrate").out == f"{store.dsn} is up to date: 0001_later\n"


def test_migrate_goes_on_after_a_half_applied_migration_only_if_told_to(store: TestStore, spanhouse: Command) -> None:
    last = migrations.load().newest
    store.client.command(f"ALTER TABLE spanhouse_migrations DELETE WHERE id = {last.id} AND state = 'done' SETTINGS mutations_sync = 1")
    refused = spanhouse("migrate")
    assert refused.code == 3
    assert f"migration {last} was begun and not finished" in refused.error
    assert spanhouse("migrate", "--resume").code == 0
    assert spanhouse("migrate").out == f"{store.dsn} is up to date: {last}\n"


def test_a_store_without_tables_is_one_line_that_says_what_to_do(store: TestStore, spanhouse: Command) -> None:
    for name, kind in (("traces", "VIEW"), ("metadata_keys", "VIEW"), ("spanhouse_trace_rows", "TABLE")):
        store.client.command(f"DROP {kind} {name}")
    for words in (["search"], ["keys"]):
        result = spanhouse(*words)
        assert result.code == 3
        assert "spanhouse migrate" in result.error
