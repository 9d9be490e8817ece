"""The SQL of searches, as files that are read in review. ``REGENERATE_GOLDEN=1`` writes them anew."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from spanhouse.query import Statement, compile_filter
from spanhouse.query.language.names import GIT_COMMIT
from spanhouse.query.language.order_by import read_order
from spanhouse.query.language.predicate import AttributeField
from spanhouse.query.language.resolver import read_filter
from spanhouse.query.search.arguments import read_arguments
from spanhouse.query.sql.metadata_keys import compile_keys, compile_values
from spanhouse.query.sql.resolved_search import Search
from spanhouse.query.sql.rows import compile_spans
from spanhouse.query.sql.selects import compile_count, compile_earliest, compile_first, compile_groups, compile_page, compile_search, compile_trace
from spanhouse.schema.trace_attributes import ATTRIBUTES

FILES = Path(__file__).parent / "query"

STATEMENTS = {
    "everything": compile_filter(None),
    "two_metadata_clauses": compile_filter("metadata.`mlflow.source.type` = 'production' AND metadata.app_version = '1.0.0'"),
    "metadata_not_equal": compile_filter("metadata.app_version != '1.0.0'"),
    "metadata_empty_value": compile_filter("metadata.note = ''"),
    "metadata_patterns": compile_filter(r"metadata.a LIKE '100\%\\' AND metadata.a ILIKE 'x_' AND tag.b RLIKE '^\d+$'"),
    "membership": compile_filter("metadata.a IN ('x', 'y') AND tag.b NOT IN ('z') AND status IN ('ERROR') AND timestamp IN (1, 2.5)"),
    "missing": compile_filter("metadata.a IS NULL AND tag.b IS NOT NULL AND name IS NULL AND execution_time IS NULL AND status IS NULL"),
    "attributes": compile_filter("name = 'chat' AND status = 'ERROR' AND client_request_id = 'c' AND execution_time_ms > 100 AND end_time >= 5.5"),
    "time_bounds": compile_filter("timestamp_ms >= 1700000000000 AND timestamp_ms < 1800000000000"),
    "request_id": compile_filter("request_id IN ('tr-0af7651916cd43dd8448eb211c80319c', 'B7AD6B7169203331B7AD6B7169203331')"),
    "either": compile_filter("metadata.app_version = '1' OR metadata.a = 'x' AND tag.b = 'y'"),
    "either_start_or_id": compile_filter("timestamp_ms >= 5 OR request_id = 'tr-0a' AND timestamp_ms < 4"),
    "either_that_narrows_nothing": compile_filter("metadata.a = 'x' OR metadata.b IS NULL"),
    "not": compile_filter("NOT (metadata.a = 'x' OR execution_time > 5) AND NOT status = 'OK'"),
    "spans": compile_filter("span.name = 'x' AND span.status = 'ERROR' AND resource.a != 'y' AND timestamp >= 5 AND metadata.app_version = '1'"),
    "span_keys": compile_filter("span.type = 'LLM' OR span.kind = 'server' OR span.attributes.k > 5 OR span.attributes.b IS NULL"),
    "span_content": compile_filter("trace.text LIKE '%x%' AND NOT span.duration_ms > 2s"),
    "span_or_trace": compile_filter("span.name = 'x' AND (span.type = 'LLM' OR status = 'OK')"),
    "versions_and_times": compile_filter("metadata.app_version > '1.9.2' AND tag.at < '2026-01-31' AND metadata.n >= 5 AND tag.n IN (1, 2)"),
    "now": compile_search(Search(predicate=read_filter("timestamp > now() - 2h AND tag.at < now()"), now_ms=1_700_000_000_000)),
    "short_names": compile_filter("git.commit = '0123abc' AND session = 's' AND tokens.total > 5 AND cost < 0.5 AND span.count IN (1, 2)"),
    "next_page_by_cost": compile_search(Search(order=read_order(["cost DESC"]), after=(0.5, 1_700_000_000_000, "tr-0a")), limit=11),
    "errors_and_models": compile_filter(
        "error.type = 'TimeoutError' AND error.type NOT IN ('A') AND error.message LIKE '%x%' AND model IN ('gpt-4o') AND model IS NOT NULL"
    ),
    "exceptions_of_spans": compile_filter("span.exception.type = 'TimeoutError' AND span.exception.message LIKE '%x%' AND span.type = 'LLM'"),
    "unfinished": compile_filter("unfinished = 'true'"),
    "groups_of_many_values": compile_groups(Search(), AttributeField(ATTRIBUTES["model"]), limit=10),
    "of_a_service": compile_search(
        read_arguments(experiment_ids=None, filter_string="git.commit = '0123abc' AND status = 'ERROR' AND name = 'x'", service="pay"), limit=101
    ),
    "of_a_service_whatever_it_did": compile_count(read_arguments(experiment_ids=None, filter_string=None, service="pay")),
    "run_id": compile_filter("run_id = 'r'"),
    "count": compile_count(Search(predicate=read_filter("status = 'OK'"), services=("a", "b"), until_ns=1_700_000_000_000_000_000)),
    "groups": compile_groups(Search(predicate=read_filter("status = 'ERROR'"), since_ns=5), GIT_COMMIT, limit=10),
    "newest_rows": compile_first(Search(predicate=read_filter("metadata.a = 'x' AND metadata.app_version = '1'")), limit=142),
    "newest_rows_after_a_page": compile_first(Search(after=(1_700_000_000_000, "tr-0a")), limit=142),
    "newest_rows_where_spans_are_asked": compile_earliest(
        Search(predicate=read_filter("span.attributes.k = 'x' AND metadata.a = '1'"), since_ns=5), limit=20_000
    ),
    "first_rows_in_another_order": compile_first(Search(order=read_order(["cost DESC"])), limit=142),
    "page_up_to_a_last_row": compile_page(Search(order=read_order(["cost DESC"])), [7], ["0a"], limit=101, last=(0.5, 1_700_000_000_000, "tr-0a")),
    "page_among_places": compile_page(
        Search(predicate=read_filter("metadata.app_version = '1'"), since_ns=5), [7, 6], ["0a", "0b"], limit=101, offset=100
    ),
    "trace": compile_trace("0a"),
    "keys": compile_keys(),
    "values_that_are_counted": compile_values("app_version"),
    "values_that_are_listed": compile_values("region"),
    "next_page": compile_search(Search(after=(1_700_000_000_000, "tr-0af7651916cd43dd8448eb211c80319c")), limit=101),
    "next_page_by_metadata": compile_search(
        Search(order=read_order(["metadata.version DESC", "experiment_id"]), after=("1.0", "svc", 1_700_000_000_000, "tr-0a")), limit=11
    ),
    "next_page_after_a_missing_value": compile_search(
        Search(order=read_order(["metadata.version"]), after=(None, 1_700_000_000_000, "tr-0a")), limit=11
    ),
    "spans_of_traces": compile_spans(["0a", "0b"]),
    "spans_of_a_trace": compile_spans(["0a"], (5, 6)),
}


def _written(statement: Statement) -> str:
    parameters = "".join(
        f"-- {name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in sorted(statement.parameters.items(), key=lambda it: int(it[0][1:]))
    )
    return f"{parameters}{statement.sql}\n"


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_search_compiles_to_the_sql_and_the_parameters_on_file(name: str) -> None:
    file = FILES / f"{name}.sql"
    written = _written(STATEMENTS[name])
    if os.environ.get("REGENERATE_GOLDEN"):
        FILES.mkdir(exist_ok=True)
        file.write_text(written, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == written


def test_every_file_belongs_to_a_statement() -> None:
    assert {file.stem for file in FILES.iterdir()} == set(STATEMENTS)
