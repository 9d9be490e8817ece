"""Data for pictures only: distribution of the latencies of versions, and their numbers over time. Two more statements, on demand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from spanhouse.query.compare.aggregate import trace_values
from spanhouse.query.compare.comparison import Bin, Period, Series
from spanhouse.query.compare.measures import timing
from spanhouse.query.compare.question import Question
from spanhouse.query.sql.statement import Parameters, Statement

_BINS_A_DECADE: Final = 20
MOST_DRAWN: Final = 20
"""Of so many versions the course over time is drawn, those with the most traces."""
MOST_PERIODS: Final = 60
_LEAST_TRACES: Final = 30
"""So many traces, on average, a period of a version is to have: a p95 of fewer is noise."""


def compile_bins(question: Question, values: Sequence[str]) -> Statement:
    """Compile the statement that reads a row for each value and bin of the latency: value, bin, traces. Bins are twentieths of a decade of ms."""
    parameters = Parameters()
    rows = trace_values(question, (timing(question),), parameters)
    lines = [
        f"SELECT Value, toInt32(floor(log10(greatest(Number0, 0.001)) * {_BINS_A_DECADE})) AS Bin, count()",
        f"FROM ({rows})",
        f"WHERE Number0 IS NOT NULL AND Value IN {parameters.texts(tuple(values))}",
        "GROUP BY Value, Bin",
        "ORDER BY Value, Bin",
    ]
    return Statement("\n".join(lines), parameters.bound())


def compile_periods(question: Question, values: Sequence[str], first_ms: int, width_ms: int) -> Statement:
    """Compile the statement that reads a row for each value and period: value, number of the period, traces, errors, p50 and p95 of the latency."""
    parameters = Parameters()
    rows = trace_values(question, (timing(question),), parameters)
    start, width = parameters.add(first_ms, "Int64"), parameters.add(width_ms, "Int64")
    lines = [
        f"SELECT Value, intDiv(toUnixTimestamp64Milli(Timestamp) - {start}, {width}) AS Period, count(), countIf(State = 'ERROR'),",
        "    quantilesExact(0.5, 0.95)(Number0)",
        f"FROM ({rows})",
        f"WHERE Value IN {parameters.texts(tuple(values))}",
        "GROUP BY Value, Period",
        "ORDER BY Value, Period",
    ]
    return Statement("\n".join(lines), parameters.bound())


def width_of(first_ms: int, last_ms: int, traces: int, values: int) -> int:
    """Choose the length of a period, in ms, so that each version has enough traces in one, and a picture room for all."""
    periods = max(1, min(MOST_PERIODS, traces // (_LEAST_TRACES * values)))
    return max(1, math.ceil((last_ms - first_ms + 1) / periods))


def read_series(bins: Sequence[Sequence[Any]], periods: Sequence[Sequence[Any]], first_ms: int, width_ms: int) -> Series:
    """Read the rows of both statements."""
    return Series(
        width_ms=width_ms,
        bins=[
            Bin(value=value, low_ms=10 ** (number / _BINS_A_DECADE), high_ms=10 ** ((number + 1) / _BINS_A_DECADE), traces=traces)
            for value, number, traces in bins
        ],
        periods=[
            Period(value=value, start_ms=first_ms + number * width_ms, traces=traces, errors=errors, p50_ms=_or_none(p50), p95_ms=_or_none(p95))
            for value, number, traces, errors, (p50, p95) in periods
        ],
    )


def _or_none(quantile: float | None) -> float | None:
    return None if quantile is None or math.isnan(quantile) else quantile
