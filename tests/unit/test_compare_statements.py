"""Statements of a comparison: what a user wrote is bound, and never part of the SQL."""

from __future__ import annotations

import pytest

from spanhouse.query import FilterError
from spanhouse.query.compare.aggregate import Thresholds, compile_counts, compile_extent, compile_newest, compile_samples
from spanhouse.query.compare.measures import metrics_of, timing
from spanhouse.query.compare.question import clause, name_of, read_field, read_question
from spanhouse.query.compare.series import compile_bins, compile_periods
from spanhouse.query.compare.span_measures import compile_first_token
from spanhouse.query.language.predicate import MapField
from spanhouse.query.language.resolver import read_filter

HOSTILE = "x' OR 1=1 --`\"\\"


@pytest.mark.parametrize("service", [None, f"{HOSTILE}service"])
@pytest.mark.parametrize("entity", ["", "resource.", "span.attributes."])
def test_keys_and_values_of_the_user_s_are_parameters_of_every_statement(entity: str, service: str | None) -> None:
    question = read_question(
        f"{entity}{HOSTILE}by",
        f"{HOSTILE}base",
        f"{HOSTILE}new",
        "metadata.k = 'x'' OR 1=1 --'",
        per=f"{HOSTILE}per",
        metrics=[f"{HOSTILE}metric", f"span.attributes.{HOSTILE}"],
        service=service,
    )
    metrics = metrics_of(question)
    time = timing(question).name
    limits: Thresholds = {(time, 0.5): 1.5, (time, 0.95): {f"{HOSTILE}slice": 2.5}}
    for statement in (
        compile_samples(question, metrics),
        compile_samples(question, metrics, split=question.per),
        compile_counts(question, metrics, limits, split=question.per),
        compile_newest(question),
        compile_extent(question),
        compile_bins(question, ("x' OR 1=1",)),
        compile_periods(question, ("x' OR 1=1",), 0, 1),
        compile_first_token(("x' OR 1=1",), (0, 1)),
    ):
        assert "OR 1=1" not in statement.sql
        assert any("OR 1=1" in str(value) for value in statement.parameters.values())


@pytest.mark.parametrize(
    "name", ["app_version", "metadata.app_version", "tag.t", "tags.`my tag`", "name", "service", "commit", "my key", HOSTILE, "`", "a.b.c", "model"]
)
def test_a_field_is_written_as_the_filter_language_reads_it(name: str) -> None:
    field = read_field(name)
    for value in ("1.0.0", HOSTILE, "\\", "''", "a\\'b"):
        predicate = read_filter(clause(field, value))
        assert predicate.value == value  # type: ignore[union-attr]
        if isinstance(field, MapField):
            assert predicate.field == field  # type: ignore[union-attr]
        assert name_of(field)


@pytest.mark.parametrize("name", ["", "metadata.", "attribute.status", "trace.request_id"])
def test_what_tells_no_versions_apart_is_a_mistake(name: str) -> None:
    with pytest.raises(FilterError):
        read_field(name)
