"""The tables of a cluster, as a file that is read in review and that the engine's own parser takes. ``REGENERATE_GOLDEN=1`` writes it anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.store import TestStore

from spanhouse.schema import migrations
from spanhouse.schema.cluster import on_cluster

FILE = Path(__file__).parent / "cluster.sql"


def statements() -> list[str]:
    return [made for migration in migrations.load() for statement in migration.statements for made in on_cluster(statement, "main")]


def test_the_tables_of_a_cluster_are_those_of_the_file() -> None:
    text = ";\n\n".join(statements()) + ";\n"
    if os.environ.get("REGENERATE_GOLDEN"):
        FILE.write_text(text)
    assert text == FILE.read_text()


def test_the_engine_parses_each_statement_and_understands_where_it_is_to_run(store: TestStore) -> None:
    for statement in statements():
        ((read,),) = store.execute("SELECT toValidUTF8(formatQuery({text:String}))", {"text": statement})
        assert "ON CLUSTER main" in str(read), statement


def test_only_migrations_that_are_older_than_any_cluster_move_rows() -> None:
    moving = {migration.id for migration in migrations.load() for statement in migration.statements if not on_cluster(statement, "main")}
    assert moving == {5, 6}


def test_a_statement_without_a_form_for_clusters_is_refused() -> None:
    with pytest.raises(ValueError, match="no form for clusters"):
        on_cluster("OPTIMIZE TABLE otel_traces", "main")
