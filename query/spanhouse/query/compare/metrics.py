"""The numbers of a trace that are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from spanhouse.query.compare.question import Asked, name_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A number that a trace can have.

    Attributes:
        name: what reports call it.
        sql: the expression over columns of a trace's row that gives it; NULL where a trace has none.
        unit: what it is counted in; '' for a bare number.
        filter_key: the name that filters compare it by, in the same unit; '' if they can't.
        tested: the levels of its quantiles that are tested.
        higher_is_better: whether more of it is what one wants.
    """

    name: str
    sql: str
    unit: str
    filter_key: str = ""
    tested: tuple[float, ...] = (0.5,)
    higher_is_better: bool = False


LATENCY: Final = Metric(
    name="latency", sql="if(RootSpanId = '', NULL, Duration / 1000000)", unit="ms", filter_key="execution_time_ms", tested=(0.5, 0.95)
)
ALWAYS: Final = (
    LATENCY,
    Metric(name="spans", sql="toNullable(SpanCount)", unit=""),
    Metric(name="input tokens", sql="nullIf(InputTokens, 0)", unit=""),
    Metric(name="output tokens", sql="nullIf(OutputTokens, 0)", unit=""),
    Metric(name="cost", sql="Cost", unit="USD"),
)
"""What is compared whether it is asked for or not; traces that report no tokens or no cost do not count there."""


SLICED: Final = (LATENCY,)
"""What is compared within slices, beside the error rate."""


def metrics_of(asked: Sequence[Asked]) -> tuple[Metric, ...]:
    """All metrics of a comparison: those of every trace, then those that are asked for, whose values stand in ``Asked0``, ``Asked1``, ..."""
    named = [
        Metric(name=name_of(one.field), sql=f"toFloat64OrNull(Asked{number})", unit="", higher_is_better=one.higher_is_better)
        for number, one in enumerate(asked)
    ]
    return (*ALWAYS, *named)
