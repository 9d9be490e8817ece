"""The tables of a cluster, as a file that is read in review and that the engine's own parser takes. ``REGENERATE_GOLDEN=1`` writes it anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.store import TestStore

from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.cluster import on_cluster

FILE = Path(__file__).parent / "cluster.sql"


def statements() -> list[str]:
    return [made for statement in migrations.load().baseline.statements for made in on_cluster(statement, "main")]


STEPS = (
    "ALTER TABLE spanhouse_trace_rows ADD COLUMN IF NOT EXISTS Extra String COMMENT 'Made up'",
    "ALTER TABLE spanhouse_trace_rows ADD INDEX IF NOT EXISTS idx_extra Extra TYPE minmax GRANULARITY 1",
    "CREATE OR REPLACE VIEW traces\n(\n    TraceId String COMMENT 'It''s'\n)\nAS SELECT TraceId\nFROM spanhouse_trace_rows FINAL\nCOMMENT 'Rows'",
    "ALTER TABLE spanhouse_spans_to_parts MODIFY QUERY\nSELECT TraceId\nFROM otel_traces",
    "DROP VIEW IF EXISTS otel_traces_trace_id_ts_mv",
    "DROP TABLE IF EXISTS trace_tags",
)
"""Each form of statement that forward steps may have, and the baseline has not."""


def test_the_tables_of_a_cluster_are_those_of_the_file() -> None:
    text = ";\n\n".join(statements()) + ";\n"
    if os.environ.get("REGENERATE_GOLDEN"):
        FILE.write_text(text)
    assert text == FILE.read_text()


def test_the_engine_parses_each_statement_and_understands_where_it_is_to_run(store: TestStore) -> None:
    for statement in statements():
        ((read,),) = store.execute("SELECT toValidUTF8(formatQuery({text:String}))", {"text": statement})
        assert "ON CLUSTER main" in str(read), statement


def test_each_form_of_a_forward_step_is_done_where_the_rows_are_and_where_they_are_asked_for(store: TestStore) -> None:
    made = [one for statement in STEPS for one in on_cluster(statement, "main")]
    for statement in made:
        ((read,),) = store.execute("SELECT toValidUTF8(formatQuery({text:String}))", {"text": statement})
        assert "ON CLUSTER main" in str(read), statement
    assert [one.partition(" ON CLUSTER")[0] for one in made] == [
        "ALTER TABLE spanhouse_trace_rows_local",
        "ALTER TABLE spanhouse_trace_rows",
        "ALTER TABLE spanhouse_trace_rows_local",
        "CREATE OR REPLACE VIEW traces_local",
        "DROP TABLE IF EXISTS traces",
        "CREATE TABLE IF NOT EXISTS traces",
        "ALTER TABLE spanhouse_spans_to_parts",
        "DROP VIEW IF EXISTS otel_traces_trace_id_ts_mv",
        "DROP TABLE IF EXISTS trace_tags",
        "DROP TABLE IF EXISTS trace_tags_local",
    ]


def test_what_is_settled_is_known_on_every_server_and_parts_leave_by_their_age() -> None:
    found = statements()
    (arrivals,) = (statement for statement in found if "TABLE IF NOT EXISTS spanhouse_arrivals" in statement)
    assert "'/clickhouse/tables/{uuid}/all'" in arrivals
    (parts,) = (statement for statement in found if "TABLE IF NOT EXISTS spanhouse_trace_parts_local" in statement)
    assert "TTL toDateTime(Received) + INTERVAL 3 DAY" in parts


def test_a_statement_without_a_form_for_clusters_is_refused() -> None:
    with pytest.raises(ValueError, match="no form for clusters"):
        on_cluster("OPTIMIZE TABLE otel_traces", "main")
