"""The numbers of a trace that are compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from spanhouse.query.compare.question import FIRST_TOKEN_FIELD, Asked, Question, name_of
from spanhouse.query.compare.statistics import LEVELS
from spanhouse.query.language.predicate import AttributeField, SpanField


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A number that a trace can have.

    Attributes:
        name: name in reports.
        sql: expression of its value over columns of a trace's row; NULL where a trace has none.
        unit: unit of its values; '' for a bare number.
        filter_key: name in filters; '' if filters can't compare it.
        scale: factor from its unit to the unit of ``filter_key``.
        tested: the levels of its quantiles that are tested.
        shown: those that are shown.
        higher_is_better: True if a higher value is better.
    """

    name: str
    sql: str
    unit: str
    filter_key: str = ""
    scale: float = 1
    tested: tuple[float, ...] = (0.5,)
    shown: tuple[float, ...] = (0.5,)
    higher_is_better: bool = False


LATENCY: Final = Metric(
    name="latency", sql="if(RootSpanId = '', NULL, Duration / 1000000)", unit="ms", filter_key="execution_time_ms", tested=(0.5, 0.95), shown=LEVELS
)
ALWAYS: Final = (
    LATENCY,
    Metric(name="spans", sql="toNullable(SpanCount)", unit="", filter_key="span.count"),
    Metric(name="input tokens", sql="InputTokens", unit="", filter_key="tokens.input"),
    Metric(name="output tokens", sql="OutputTokens", unit="", filter_key="tokens.output"),
    Metric(name="cost", sql="if(isFinite(Cost), Cost, NULL)", unit="USD", filter_key="cost"),
)
"""Metrics of every comparison; traces that report no tokens or no cost do not count for these."""


SELF_TIME: Final = replace(LATENCY, name="self time", sql="toNullable(OwnTime / 1000000)")
"""Time of a service's spans in which none of their children ran."""
_OF_SERVICE: Final = (
    SELF_TIME,
    Metric(name="spans", sql="toNullable(OwnSpans)", unit=""),
    *(replace(one, name=f"trace {one.name}", filter_key="", tested=()) for one in ALWAYS if one.name != "spans"),
)
"""Numbers of a service that are compared, and beside them those of the whole traces that are shown."""

SLICED: Final = (LATENCY, SELF_TIME)
"""Number that is compared within slices, beside the error rate: the one that the comparison has."""


def timing(question: Question) -> Metric:
    """Give the time that is judged: a trace's, or the service's own."""
    return LATENCY if question.service is None else SELF_TIME


def metrics_of(question: Question) -> tuple[Metric, ...]:
    """Return all metrics of a comparison: those of every trace, then those that are asked for, whose values stand in ``Asked0``, ``Asked1``, ..."""
    always = ALWAYS if question.service is None else _OF_SERVICE
    return (*always, *(_asked(one, f"Asked{number}") for number, one in enumerate(question.metrics)))


def _asked(one: Asked, column: str) -> Metric:
    if one.field == FIRST_TOKEN_FIELD:
        return Metric(
            name="time to first token", sql=column, unit="ms", filter_key=one.found_by, scale=one.scale, tested=(0.5, 0.95), shown=(0.5, 0.95)
        )
    name = name_of(one.field)
    match one.field:
        case AttributeField(attribute=attribute):
            value = f"toFloat64({attribute.sql})"
        case SpanField():
            value = column
        case _:
            value = f"toFloat64OrNull({column})"
    return Metric(name=name, sql=f"if(isFinite({value}), {value}, NULL)", unit="", filter_key=name, higher_is_better=one.higher_is_better)
