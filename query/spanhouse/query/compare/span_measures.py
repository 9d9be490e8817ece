"""Numbers that spans have and not their trace: the mean over those of a trace that have it. And whether spans have a first token's time."""
# ruff: noqa: S608  SQL is built from this package's own words and placeholders; tests prove that a user's text is never among them

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from spanhouse.query.compare.question import FIRST_TOKEN_FIELD, Asked, Question, name_of
from spanhouse.query.language.predicate import AttributeField, MapColumn, MapField, Missing, SpanField
from spanhouse.query.sql.predicate_sql import exact, value_of
from spanhouse.query.sql.statement import Parameters, Statement
from spanhouse.schema.trace_attributes import FIRST_TOKEN, FIRST_TOKEN_MS, FIRST_TOKEN_SECONDS

NEWEST: Final = 500
"""So many of the newest traces tell whether there are times of first tokens at all."""


ERROR: Final = "StatusCode IN ('Error', 'STATUS_CODE_ERROR')"
"""True for a span that failed."""


def join_versions(rows: str, question: Question, parameters: Parameters, narrowed: str) -> str:
    """Compile rows of traces with the Value that spans tell, a row for each of a trace; of a service with OwnErrors, its failed spans that tell it.

    Args:
        rows: the statement that gives them.
        question: question whose ``by`` is of spans.
        parameters: where values and keys are bound.
        narrowed: a condition that the spans of all these traces fulfil; '' if there is none.
    """
    errors = "" if question.service is None else f", countIf({ERROR}) AS OwnErrors"
    where = " AND ".join(_told(question, parameters, narrowed))
    told = f"SELECT TraceId, {value_of(question.by, parameters)} AS Value{errors} FROM otel_traces WHERE {where} GROUP BY TraceId, Value"
    return f"SELECT * FROM ({rows}) AS trace INNER JOIN ({told}) AS told USING (TraceId)"


def compile_different(question: Question, narrowed: Callable[[Parameters], str], *, most: int) -> Statement:
    """Compile the statement that counts the values that spans tell, up to ``most``."""
    parameters = Parameters()
    where = " AND ".join(_told(question, parameters, narrowed(parameters)))
    values = f"SELECT DISTINCT {value_of(question.by, parameters)} AS Value FROM otel_traces WHERE {where} LIMIT {most}"
    return Statement(f"SELECT count() FROM ({values})", parameters.bound())


def _told(question: Question, parameters: Parameters, narrowed: str) -> Iterator[str]:
    if question.spans_ns is not None:
        yield from _between(question.spans_ns, parameters)
    yield exact(Missing(field=question.by, negated=True), parameters)
    if question.service is not None:
        yield f"ServiceName = {parameters.text(question.service)}"
    if narrowed:
        yield narrowed


def join_spans(rows: str, fields: Mapping[str, SpanField], parameters: Parameters, question: Question) -> str:
    """Compile rows of traces with a column for each field besides: the mean of its spans' numbers, a span that came twice counted once; or NULL."""
    if not fields:
        return f"({rows})"
    when = "1" if question.spans_ns is None else " AND ".join(_between(question.spans_ns, parameters))
    when += "" if question.service is None else f" AND ServiceName = {parameters.text(question.service)}"
    values = ", ".join(f"{_number(field, parameters)} AS {name}" for name, field in fields.items())
    there = " OR ".join(f"{name} IS NOT NULL" for name in fields)
    means = ", ".join(f"avg({name}) AS {name}" for name in fields)
    spans = f"SELECT DISTINCT TraceId, SpanId, {values} FROM otel_traces WHERE {when} AND ({there})"
    return f"({rows}) AS trace LEFT JOIN (SELECT TraceId, {means} FROM ({spans}) GROUP BY TraceId) AS spans USING (TraceId)"


def _number(field: SpanField, parameters: Parameters) -> str:
    if isinstance(field.of, AttributeField):
        return field.of.attribute.sql
    value = f"toFloat64OrNull({value_of(field, parameters)})"
    return f"if(mapContains(SpanAttributes, {parameters.text(field.of.key)}) AND isFinite({value}), {value}, NULL)"


def _between(spans_ns: tuple[int, int], parameters: Parameters) -> tuple[str, str]:
    first_ns, last_ns = spans_ns
    return f"Timestamp >= {parameters.nanoseconds(first_ns)}", f"Timestamp <= {parameters.nanoseconds(last_ns)}"


def compile_first_token(trace_ids: Sequence[str], spans_ns: tuple[int, int]) -> Statement:
    """Compile the statement that counts, in one row, the spans of some traces that tell of a first token, in all and by each of the attributes."""
    parameters = Parameters()
    counts = [f"countIf({FIRST_TOKEN.sql} IS NOT NULL)"]
    counts += [f"countIf(mapContains(SpanAttributes, {parameters.text(key)}))" for key in (*FIRST_TOKEN_SECONDS, *FIRST_TOKEN_MS)]
    when = " AND ".join(_between(spans_ns, parameters))
    return Statement(
        f"SELECT {', '.join(counts)} FROM otel_traces WHERE {when} AND TraceId IN {parameters.texts(tuple(trace_ids))}", parameters.bound()
    )


def read_first_token(row: Sequence[Any]) -> Asked | None:
    """Return the time to the first token as a metric, by the attribute that most spans have; None if no span has one."""
    told, *by_key = row
    if not told:
        return None
    most, key = max(zip(by_key, (*FIRST_TOKEN_SECONDS, *FIRST_TOKEN_MS), strict=True), key=lambda pair: pair[0])
    if not most:  # events alone, which filters can't measure
        return Asked(FIRST_TOKEN_FIELD)
    scale = 0.001 if key in FIRST_TOKEN_SECONDS else 1
    return Asked(FIRST_TOKEN_FIELD, found_by=name_of(MapField(MapColumn.SPAN_ATTRIBUTES, key)), scale=scale)
