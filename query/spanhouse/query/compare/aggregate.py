"""The two statements of a comparison, which aggregate in the engine, and what their rows say.

The first counts and reads quantiles. From these follow thresholds, and the second counts the traces above them, with the sums over sessions
that tell how independent the traces are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from spanhouse.query.compare.metrics import LATENCY, Metric
from spanhouse.query.compare.question import Question
from spanhouse.query.compare.spans import NEWEST, join_spans
from spanhouse.query.compare.statistics import GRID, Sums
from spanhouse.query.compile_ import FIRST_SPAN_NS, LAST_SPAN_NS, source
from spanhouse.query.conditions import hot_column, value_of
from spanhouse.query.predicate import All, MapColumn, MapField, OneOf, SpanField, TraceField
from spanhouse.query.search import Search
from spanhouse.query.statement import Parameters, Statement
from spanhouse.schema.trace_attributes import ATTRIBUTES
from spanhouse.schema.vocabulary import GIT_DIRTY

_WHOLE_MS: Final = f"ifNull({ATTRIBUTES['execution_time_ms'].sql}, 0)"
MOST_VALUES: Final = 200
"""So many values are put in a table, those with the most traces."""
MOST_SPLITS: Final = 200
"""Of a split so many values are looked at, those with the most traces."""
_PROCESS: Final[Mapping[str, TraceField]] = MappingProxyType(
    {"Host": MapField(MapColumn.METADATA, "host.name"), "Dirty": MapField(MapColumn.METADATA, GIT_DIRTY.mlflow)}
)
_GRID: Final = ", ".join(f"{level:.6f}" for level in GRID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What is known of a metric in some traces.

    Attributes:
        n: traces that have it.
        mean: their mean.
        quantiles: at ``GRID``; for a table of all values those of the latency alone.
    """

    n: int
    mean: float
    quantiles: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Some traces: those of one value.

    Attributes:
        traces: how many.
        errors: how many failed.
        first_ms: the earliest start, in Unix milliseconds.
        last_ms: the latest.
        whole_ms: mean of the durations in whole milliseconds, 0 for a trace without a root, as MLflow's guide computes it.
        hours: traces that began in each hour of the day (UTC).
        numbers: by metric's name; those that no trace has are missing.
        hosts: how many hosts they ran on, where two values are compared.
        host: one of them.
        dirty: traces of code with uncommitted changes, likewise.
    """

    traces: int
    errors: int
    first_ms: int
    last_ms: int
    whole_ms: float
    hours: tuple[int, ...]
    numbers: Mapping[str, Numbers]
    hosts: int
    host: str
    dirty: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Sums of some traces over their sessions.

    Attributes:
        errors: of traces that failed.
        above: of traces above the threshold of a metric and level.
    """

    errors: Sums
    above: Mapping[tuple[str, float], Sums]


Limit = float | Mapping[str, float]
"""A threshold, or that of each split."""
Thresholds = Mapping[tuple[str, float], Limit]
"""Threshold of each metric and level."""


def compile_newest(question: Question) -> Statement:
    """Compile the statement that gives a row for each of the newest traces: its id, and when its first and its last span start (Unix ns)."""
    parameters = Parameters()
    rows = trace_values(replace(question, metrics=()), (), parameters)
    return Statement(f"SELECT TraceId, {FIRST_SPAN_NS}, {LAST_SPAN_NS}\nFROM ({rows})\nORDER BY Timestamp DESC\nLIMIT {NEWEST}", parameters.bound())


def compile_extent(question: Question) -> Statement:
    """Compile the statement that gives when the first and the last span of all these traces start (Unix ns), in one row."""
    parameters = Parameters()
    rows = trace_values(replace(question, metrics=()), (), parameters)
    return Statement(f"SELECT min({FIRST_SPAN_NS}), max({LAST_SPAN_NS})\nFROM ({rows})", parameters.bound())


def compile_samples(question: Question, metrics: Sequence[Metric], *, split: TraceField | None = None) -> Statement:
    """The statement that gives a row for each value, or for each value and split: see ``read_samples``."""
    parameters = Parameters()
    columns = ["count()", "countIf(State = 'ERROR')", "toUnixTimestamp64Milli(min(Timestamp))", "toUnixTimestamp64Milli(max(Timestamp))"]
    columns += ["avg(WholeMs)", f"[{', '.join(f'countIf(Hour = {hour})' for hour in range(24))}]"]
    for number, metric in enumerate(metrics):
        quantiles = f"quantilesExact({_GRID})(Number{number})" if metric is LATENCY or question.base is not None else "emptyArrayFloat64()"
        columns += [f"count(Number{number})", f"avg(Number{number})", quantiles]
    process: Mapping[str, TraceField] = {} if question.base is None or split is not None else _PROCESS
    columns += ["uniqIf(Host, Host != '')", "max(Host)", "countIf(Dirty = 'true')"] if process else ["0", "''", "0"]
    rows = trace_values(question, metrics, parameters, split, **process)
    lines = [f"SELECT Value, Split, {', '.join(columns)}", f"FROM ({rows})", "GROUP BY Value, Split", "ORDER BY count() DESC, Value, Split"]
    lines.append(f"LIMIT {MOST_VALUES}" if split is None else f"LIMIT {MOST_SPLITS} BY Value")
    return Statement("\n".join(lines), parameters.bound())


def read_samples(rows: Sequence[Sequence[Any]], metrics: Sequence[Metric]) -> dict[tuple[str, str], Sample]:
    """The sample of each value and split ('' without one), in the order of the rows."""
    return {(row[0], row[1]): _sample(row[2:], metrics) for row in rows}


def _sample(row: Sequence[Any], metrics: Sequence[Metric]) -> Sample:
    traces, errors, first_ms, last_ms, whole_ms, hours, *rest, hosts, host, dirty = row
    numbers = {
        metric.name: Numbers(n=n, mean=mean, quantiles=tuple(map(float, quantiles)))
        for metric, n, mean, quantiles in zip(metrics, rest[::3], rest[1::3], rest[2::3], strict=True)
        if n
    }
    return Sample(
        traces=traces,
        errors=errors,
        first_ms=first_ms,
        last_ms=last_ms,
        whole_ms=whole_ms,
        hours=tuple(hours),
        numbers=numbers,
        hosts=hosts,
        host=host,
        dirty=dirty,
    )


def compile_counts(question: Question, metrics: Sequence[Metric], thresholds: Thresholds, *, split: TraceField | None = None) -> Statement:
    """The statement that gives a row for each value and, if there is a split, one for each of its values besides: see ``read_counts``."""
    parameters = Parameters()
    numbers = {metric.name: f"Number{number}" for number, metric in enumerate(metrics)}
    names = sorted({name for name, _ in thresholds}, key=list(numbers).index)
    counted = {"Traces": "count()", "Errors": "countIf(State = 'ERROR')"} | {f"{numbers[name]}Traces": f"count({numbers[name]})" for name in names}
    columns = list(_sums("Traces", "Errors"))
    for number, ((name, _), limit) in enumerate(thresholds.items()):
        counted[f"Above{number}"] = f"countIf({numbers[name]} > {_limit(limit, parameters)})"
        columns += _sums(f"{numbers[name]}Traces", f"Above{number}")
    # Traces without a session are one row here, however many they are: each stands for itself, so sums of squares are sums.
    cluster = "SessionId = '' AS Alone, cityHash64(SessionId) AS Session"
    counts = ", ".join(f"{sql} AS {name}" for name, sql in counted.items())
    rows = trace_values(question, metrics, parameters, split)
    sessions = f"SELECT Value, Split, {cluster}, {counts}\nFROM ({rows})\nGROUP BY Value, Split, Alone, Session"
    splits = "[(0, '')]" if split is None else "[(0, ''), (1, Split)]"
    again = ", ".join(f"sum({name}) AS {name}" for name in counted)
    clusters = f"SELECT Value, Part, Alone, {again}\nFROM ({sessions}) ARRAY JOIN {splits} AS Part\nGROUP BY Value, Part, Alone, Session"
    lines = [f"SELECT Value, Part, {', '.join(columns)}", f"FROM ({clusters})", "GROUP BY Value, Part", "ORDER BY sum(Traces) DESC"]
    return Statement("\n".join([*lines, f"LIMIT {MOST_SPLITS + 1} BY Value"]), parameters.bound())


def _limit(limit: Limit, parameters: Parameters) -> str:
    if isinstance(limit, Mapping):
        splits, limits = parameters.add(tuple(limit), "Array(String)"), parameters.add(tuple(limit.values()), "Array(Float64)")
        return f"transform(Split, {splits}, {limits}, inf)" if limit else "inf"
    return parameters.add(limit, "Float64")


def read_counts(rows: Sequence[Sequence[Any]], thresholds: Thresholds) -> dict[tuple[str, str | None], Counts]:
    """The counts of each value (with None) and of each value and split."""
    found = {}
    for value, (split, name), *sums in rows:
        errors, *above = (_read_sums(sums[at : at + 6]) for at in range(0, len(sums), 6))
        found[value, name if split else None] = Counts(errors=errors, above=dict(zip(thresholds, above, strict=True)))
    return found


def _sums(n: str, k: str) -> Iterator[str]:
    yield from (f"sum(if(Alone, {n}, {n} > 0))", f"sum({n})", f"sum({k})")
    yield from (f"sum(if(Alone, {once}, {one} * {other}))" for once, one, other in ((n, n, n), (k, k, k), (k, k, n)))


def _read_sums(row: Sequence[int]) -> Sums:
    clusters, n, k, nn, kk, kn = row
    return Sums(clusters=clusters, n=n, k=k, nn=nn, kk=kk, kn=kn)


def trace_values(question: Question, metrics: Sequence[Metric], parameters: Parameters, split: TraceField | None = None, **more: TraceField) -> str:
    """A row for each trace: its Value, Split and numbers, what else the statements look at, and columns for ``more``."""
    asked = {f"Asked{number}": one.field for number, one in enumerate(question.metrics)}
    of_traces = {name: field for name, field in asked.items() if isinstance(field, MapField)}
    of_spans = {name: field for name, field in asked.items() if isinstance(field, SpanField)}
    values = {"Value": question.by, **({} if split is None else {"Split": split}), **of_traces, **more}
    search = Search(predicate=question.predicate, since_ns=question.since_ns)
    wanted = "Value != ''"
    if question.base is not None and question.new is not None:
        among = OneOf(field=question.by, values=(question.base, question.new), negated=False)
        search = replace(search, predicate=All((*search.clauses, among)))
        wanted = f"Value IN {parameters.add((question.base, question.new), 'Array(String)')}"
    added = ", ".join(f"{hot_column(field) or value_of(field, parameters)} AS {name}" for name, field in values.items())
    rows = f"SELECT *, {added}\n{source(search, parameters)}"
    columns = ["Value", "'' AS Split" if split is None else "Split", "TraceId", "State", "SessionId", "Timestamp", "Duration", "Before", "After"]
    columns += [
        "toHour(Timestamp, 'UTC') AS Hour",
        f"{_WHOLE_MS} AS WholeMs",
        *more,
        *(f"{metric.sql} AS Number{number}" for number, metric in enumerate(metrics)),
    ]
    return f"SELECT {', '.join(columns)}\nFROM {join_spans(rows, of_spans, parameters, question.spans_ns)}\nWHERE {wanted}"
