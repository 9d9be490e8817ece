"""Tables that the Collector's exporter made are copied into ours: `spanhouse store adopt`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.otlp import trace
from tests.support.store import TestStore

from spanhouse.cli import main
from spanhouse.schema.maintenance.adopt import Adopted, adopt
from spanhouse.schema.tables.driver import MigrationError

FILES = Path(__file__).parents[1] / "golden" / "collector"
COLLECTORS = (
    "Timestamp, TraceId, SpanId, ParentSpanId, TraceState, SpanName, SpanKind, ServiceName, ResourceAttributes, ScopeName, ScopeVersion, "
    "SpanAttributes, Duration, StatusCode, StatusMessage, Events.Timestamp, Events.Name, Events.Attributes, "
    "Links.TraceId, Links.SpanId, Links.TraceState, Links.Attributes"
)
SPELLINGS = {
    "2023": (["SPAN_KIND_SERVER", "SPAN_KIND_CLIENT", "SPAN_KIND_UNSPECIFIED"], ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"]),
    "2026": (["Server", "Client", "Unspecified"], ["Unset", "Ok", "Error"]),
}


def make(store: TestStore, template: str, spans: int = 300) -> str:
    """A table by a template with spans of an hour and a half, in traces of three."""
    table = f"old_{template}"
    store.client.command((FILES / f"{template}.sql").read_text().replace("<table>", table))
    kinds, states = SPELLINGS[template]
    trace_id, span_id = "lower(hex(sipHash128(intDiv(number, 3))))", "lower(hex(sipHash64(number)))"
    store.client.command(
        f"INSERT INTO {table} ({COLLECTORS}) "
        f"SELECT toDateTime64('2025-03-01 23:10:00', 9, 'UTC') + intDiv(number, 3) * {5400 * 3 // spans} + number % 3, "
        f"{trace_id}, {span_id}, if(number % 3 = 0, '', lower(hex(sipHash64(intDiv(number, 3) * 3)))), '', concat('op ', toString(number % 7)), "
        f"{kinds}[number % 3 + 1], 'shop', map('service.name', 'shop', 'service.version', toString(number % 4)), 'lib', '1', "
        f"map('n', toString(number)), if(number % 50 = 0, -5, number * 1000), {states}[number % 3 + 1], '', "
        f"[toDateTime64('2025-03-01 23:10:01', 9, 'UTC')], ['event'], [map('a', 'b')], ['{'ab' * 16}'], ['{'cd' * 8}'], [''], [map('c', 'd')] "
        f"FROM numbers({spans})"
    )
    return table


def hashed(store: TestStore) -> list[dict[str, Any]]:
    return store.rows(f"SELECT count() AS n, uniqExact(TraceId, SpanId) AS spans, sum(cityHash64({COLLECTORS})) AS hash FROM otel_traces")


@pytest.mark.parametrize("template", ["2023", "2026"])
def test_spans_of_a_collectors_table_are_copied_once_with_todays_spellings(store: TestStore, template: str) -> None:
    table = make(store, template)
    steps: list[int] = []
    assert adopt(store.execute, table, report=lambda step: steps.append(step.done)) == Adopted(rows=300, spans=300, equal=300)
    assert steps == [1, 2]
    (row,) = store.rows(
        "SELECT count() AS n, groupUniqArray(SpanKind) AS kinds, groupUniqArray(StatusCode) AS states, countIf(Duration = 0) AS none, "
        "max(Duration) AS longest, groupUniqArray(Events.Name) AS events, groupUniqArray(Links.SpanId) AS links FROM otel_traces"
    )
    assert (row["n"], sorted(row["kinds"]), sorted(row["states"])) == (300, ["Client", "Server", "Unspecified"], ["Error", "Ok", "Unset"])
    assert (row["none"], row["longest"], row["events"], row["links"]) == (6, 299_000, [["event"]], [["cd" * 8]])
    found = "SELECT count() AS n, sum(SpanCount) AS spans, countIf(State = 'OK') AS ok FROM traces"
    assert store.rows(found) == [{"n": 100, "spans": 300, "ok": 100}]


def test_a_copy_that_runs_twice_doubles_nothing(store: TestStore) -> None:
    table = make(store, "2023")
    adopt(store.execute, table)
    before, traces = hashed(store), store.rows("SELECT * FROM traces ORDER BY TraceId")
    adopt(store.execute, table)
    assert hashed(store) == before
    assert store.rows("SELECT * FROM traces ORDER BY TraceId") == traces


def test_spans_that_the_other_table_has_twice_or_without_ids_are_copied_once_or_not(store: TestStore) -> None:
    table = make(store, "2026", 30)
    store.client.command(f"INSERT INTO {table} SELECT * FROM {table} SETTINGS insert_deduplicate = 0")
    store.client.command(f"INSERT INTO {table} (Timestamp, TraceId, SpanId) SELECT max(Timestamp), '', '' FROM {table}")
    assert adopt(store.execute, table) == Adopted(rows=61, spans=30, equal=30)
    assert hashed(store)[0]["n"] == 30


def test_a_span_that_was_here_before_stays_as_it_was_and_is_told(store: TestStore) -> None:
    table = make(store, "2026", 30)
    store.client.command(
        f"INSERT INTO otel_traces ({COLLECTORS}) SELECT * REPLACE ('mine' AS SpanName) FROM (SELECT {COLLECTORS} FROM {table} LIMIT 4)"
    )
    assert adopt(store.execute, table) == Adopted(rows=30, spans=30, equal=26)
    assert store.rows("SELECT count() AS n, countIf(SpanName = 'mine') AS mine FROM otel_traces") == [{"n": 30, "mine": 4}]


def test_a_copy_that_was_interrupted_goes_on_and_makes_the_rows_that_were_not_made_yet(store: TestStore) -> None:
    table = make(store, "2023")

    class KilledError(Exception):
        pass

    def killed(sql: str, parameters: Any = None) -> Any:
        if sql.startswith("SELECT count(), countIf(stored.Found)") and len(copied) == 1:
            # As if the process had ended between the spans and their parts.
            for made in ("spanhouse_trace_parts", "spanhouse_trace_rows"):
                store.client.command(f"TRUNCATE TABLE {made}")
            raise KilledError
        if sql.startswith("INSERT INTO otel_traces"):
            copied.append(sql)
        return store.execute(sql, parameters)

    copied: list[str] = []
    with pytest.raises(KilledError):
        adopt(killed, table)
    assert 0 < hashed(store)[0]["n"] < 300
    adopt(store.execute, table)
    assert hashed(store)[0]["n"] == 300
    assert store.rows("SELECT count() AS n, sum(SpanCount) AS spans FROM traces") == [{"n": 100, "spans": 300}]


def test_what_is_no_table_of_the_exporter_is_one_line(store: TestStore) -> None:
    store.client.command("CREATE TABLE other (Timestamp DateTime64(9)) ENGINE = Memory")
    store.client.command("CREATE TABLE documents (SpanAttributes JSON) ENGINE = Memory")
    for table, said in (("nope", "no table"), ("other", "has no TraceId"), ("documents", "JSON"), ("otel_traces", "own table"), ("a`b", "no name")):
        with pytest.raises(MigrationError, match=said):
            adopt(store.execute, table)


def test_the_command_adopts_from_another_database_and_says_how_far_it_is(store: TestStore, capsys: pytest.CaptureFixture[str]) -> None:
    make(store, "2026", 30)
    dsn = f"{store.dsn}_new"
    assert main(["migrate", "--store", dsn]) == 0
    assert main(["store", "adopt", "old_2026", "--from", store.database, "--store", dsn]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-2:] == [
        "2/2  2025-03-01 23:00 UTC  18 spans",
        f"all 30 spans of {store.database}.old_2026 are here (30 rows), 30 of them with the same values",
    ]
    assert main(["store", "adopt", "nope", "--from", store.database, "--store", dsn]) == 3
    assert capsys.readouterr().err == f"spanhouse: there is no table {store.database}.nope\n"
    store.client.command(f"DROP DATABASE {store.database}_new")


def test_a_database_with_a_collectors_own_otel_traces_is_left_alone(store: TestStore, capsys: pytest.CaptureFixture[str]) -> None:
    store.client.command(f"CREATE DATABASE {store.database}_theirs")
    store.client.command((FILES / "2026.sql").read_text().replace("<table>", f"{store.database}_theirs.otel_traces"))
    assert main(["migrate", "--store", f"{store.dsn}_theirs"]) == 3
    assert "use another database, and adopt that table" in capsys.readouterr().err
    assert store.rows(f"SELECT count() AS n FROM system.tables WHERE database = '{store.database}_theirs' AND name LIKE 'traces%'") == [{"n": 0}]
    store.client.command(f"DROP DATABASE {store.database}_theirs")


def test_traces_that_come_in_meanwhile_are_not_touched(store: TestStore) -> None:
    store.ingest(trace())
    table = make(store, "2023", 30)
    adopt(store.execute, table)
    assert store.rows("SELECT count() AS n FROM traces") == [{"n": 11}]
