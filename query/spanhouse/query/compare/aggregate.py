"""The two statements of a comparison, which aggregate in the engine, and the readers of their rows.

The first counts and reads quantiles. From these follow thresholds, and the second counts the traces above them, with the sums over sessions
that tell how independent the traces are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, TypeGuard

from spanhouse.query.compare.measures import SLICED, Metric
from spanhouse.query.compare.question import Question
from spanhouse.query.compare.span_measures import NEWEST, compile_different, join_spans, join_versions
from spanhouse.query.compare.statistics import GRID, Sums
from spanhouse.query.language.predicate import Field, MapColumn, MapField, OneOf, SomeServicePart, SomeSpan, SpanField, TraceField, every
from spanhouse.query.sql.predicate_sql import exact, hot_column, is_many, own_map, value_of
from spanhouse.query.sql.resolved_search import Search
from spanhouse.query.sql.selects import FIRST_SPAN_NS, LAST_SPAN_NS, source
from spanhouse.query.sql.service_part import OWN_COLUMNS, OWN_STATE, of_service, own_field, own_keys
from spanhouse.query.sql.statement import Parameters, Statement
from spanhouse.schema.trace_attributes import ATTRIBUTES, UNFINISHED
from spanhouse.schema.vocabulary import GIT_DIRTY

_WHOLE_MS: Final = f"ifNull({ATTRIBUTES['execution_time_ms'].sql}, 0)"
MOST_VALUES: Final = 200
"""Most values of a table, those with the most traces."""
MOST_SPLITS: Final = 200
"""Most values of a split, those with the most traces."""
_OWN: Final = {"Errors": "Errors", "Time": "SelfTime", "Spans": "Spans"}
"""Name of a fact of a service's version in a trace -> the column that has it for each."""
_PROCESS: Final[Mapping[str, TraceField]] = MappingProxyType(
    {"Host": MapField(MapColumn.METADATA, "host.name"), "Dirty": MapField(MapColumn.METADATA, GIT_DIRTY.mlflow)}
)
_GRID: Final = ", ".join(f"{level:.6f}" for level in GRID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Mean and quantiles of a metric in some traces.

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
        unfinished: traces whose root never came.
        trace_errors: traces that failed as a whole, which a service's errors need not make them.
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
    unfinished: int
    trace_errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Sums of some traces over their sessions.

    Attributes:
        errors: of traces that failed.
        unfinished: of traces whose root never came.
        trace_errors: of traces that failed as a whole.
        above: of traces above the threshold of a metric and level.
    """

    errors: Sums
    unfinished: Sums
    trace_errors: Sums
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
    """Compile the statement that reads a row for each value, or for each value and split: see ``read_samples``."""
    parameters = Parameters()
    columns = ["count()", "countIf(State = 'ERROR')", "toUnixTimestamp64Milli(min(Timestamp))", "toUnixTimestamp64Milli(max(Timestamp))"]
    columns += ["avg(WholeMs)", f"[{', '.join(f'countIf(Hour = {hour})' for hour in range(24))}]"]
    for number, metric in enumerate(metrics):
        quantiles = f"quantilesExact({_GRID})(Number{number})" if metric in SLICED or question.base is not None else "emptyArrayFloat64()"
        columns += [f"count(Number{number})", f"avg(Number{number})", quantiles]
    process: Mapping[str, TraceField] = {} if question.base is None or split is not None or question.service is not None else _PROCESS
    columns += ["uniqIf(Host, Host != '')", "max(Host)", "countIf(Dirty = 'true')"] if process else ["0", "''", "0"]
    columns += ["countIf(Rootless)", "countIf(TraceState = 'ERROR')"]
    rows = trace_values(question, metrics, parameters, split, **process)
    lines = [f"SELECT Value, Split, {', '.join(columns)}", f"FROM ({rows})", "GROUP BY Value, Split", "ORDER BY count() DESC, Value, Split"]
    lines.append(f"LIMIT {MOST_VALUES}" if split is None else f"LIMIT {MOST_SPLITS} BY Value")
    return Statement("\n".join(lines), parameters.bound())


def read_samples(rows: Sequence[Sequence[Any]], metrics: Sequence[Metric]) -> dict[tuple[str, str], Sample]:
    """Read the sample of each value and split ('' without one), in the order of the rows."""
    return {(row[0], row[1]): _sample(row[2:], metrics) for row in rows}


def _sample(row: Sequence[Any], metrics: Sequence[Metric]) -> Sample:
    traces, errors, first_ms, last_ms, whole_ms, hours, *rest, hosts, host, dirty, unfinished, trace_errors = row
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
        unfinished=unfinished,
        trace_errors=trace_errors,
    )


_COUNTED: Final[Mapping[str, str]] = MappingProxyType(
    {"Errors": "countIf(State = 'ERROR')", "Unfinished": "countIf(Rootless)", "TraceErrors": "countIf(TraceState = 'ERROR')"}
)
"""Kinds of failed traces, in the order of the fields of ``Counts``."""


def compile_counts(question: Question, metrics: Sequence[Metric], thresholds: Thresholds, *, split: TraceField | None = None) -> Statement:
    """Compile the statement that reads a row for each value and, if there is a split, one for each of its values besides: see ``read_counts``."""
    parameters = Parameters()
    numbers = {metric.name: f"Number{number}" for number, metric in enumerate(metrics)}
    names = sorted({name for name, _ in thresholds}, key=list(numbers).index)
    counted = {"Traces": "count()"} | dict(_COUNTED) | {f"{numbers[name]}Traces": f"count({numbers[name]})" for name in names}
    columns = [sums for failed in _COUNTED for sums in _sums("Traces", failed)]
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
    """Read the counts of each value (with None) and of each value and split."""
    found = {}
    for value, (split, name), *sums in rows:
        errors, unfinished, trace_errors, *above = (_read_sums(sums[at : at + 6]) for at in range(0, len(sums), 6))
        found[value, name if split else None] = Counts(
            errors=errors, unfinished=unfinished, trace_errors=trace_errors, above=dict(zip(thresholds, above, strict=True))
        )
    return found


def _sums(n: str, k: str) -> Iterator[str]:
    yield from (f"sum(if(Alone, {n}, {n} > 0))", f"sum({n})", f"sum({k})")
    yield from (f"sum(if(Alone, {once}, {one} * {other}))" for once, one, other in ((n, n, n), (k, k, k), (k, k, n)))


def _read_sums(row: Sequence[int]) -> Sums:
    clusters, n, k, nn, kk, kn = row
    return Sums(clusters=clusters, n=n, k=k, nn=nn, kk=kk, kn=kn)


def trace_values(question: Question, metrics: Sequence[Metric], parameters: Parameters, split: TraceField | None = None, **more: TraceField) -> str:
    """Compile a row for each trace and value: its Value, Split and numbers, further columns of the statements, and columns for ``more``.

    Of a service it is a row for each of its versions in a trace: State, OwnTime and OwnSpans are that one's.
    """
    asked = {f"Asked{number}": one.field for number, one in enumerate(question.metrics)}
    of_traces = {name: field for name, field in asked.items() if isinstance(field, MapField)}
    of_spans = {name: field for name, field in asked.items() if isinstance(field, SpanField)}
    values: dict[str, Field] = {"Value": question.by, **({} if split is None else {"Split": split}), **of_traces, **more}
    told_by_spans = isinstance(values["Value"], SpanField)
    if told_by_spans:
        del values["Value"]
    search = _search(question)
    rows = _rows(question, search, {name: _of(question, field) for name, field in values.items()}, parameters)
    wanted = ["Value != ''"]
    if question.base is not None and question.new is not None:
        wanted = [f"Value IN {parameters.add((question.base, question.new), 'Array(String)')}"]
    if told_by_spans and question.spans_ns is None:
        # Nothing is looked at but when the traces' spans are.
        rows, wanted = f"SELECT *, '' AS Value{', 0 AS OwnErrors' if question.service else ''}\nFROM ({rows})", []
    elif told_by_spans:
        rows = join_versions(rows, question, parameters, _narrowed(search, parameters))
    wanted += [exact(one.operand, parameters) for one in search.clauses if isinstance(one, SomeServicePart)]
    columns = ["Value", "'' AS Split" if split is None else "Split", "TraceId", "TraceState", "SessionId", "Timestamp", "Duration", "Before", "After"]
    columns += [
        "State" if question.service is None else f"{OWN_STATE} AS State",
        "Rootless",
        "toHour(Timestamp, 'UTC') AS Hour",
        f"{_WHOLE_MS} AS WholeMs",
        *more,
        *(f"{metric.sql} AS Number{number}" for number, metric in enumerate(metrics)),
    ]
    return f"SELECT {', '.join(columns)}\nFROM {join_spans(rows, of_spans, parameters, question)}\nWHERE {' AND '.join(wanted or ['1'])}"


def compile_values(question: Question, *, most: int) -> Statement:
    """Compile the statement that counts the values that the spans of the question's traces tell, up to ``most``."""
    return compile_different(question, lambda parameters: _narrowed(_search(question), parameters), most=most)


def _search(question: Question) -> Search:
    predicate = question.predicate
    if question.base is not None and question.new is not None:
        among = OneOf(field=question.by, values=(question.base, question.new), negated=False)
        predicate = every(predicate, SomeSpan(among) if isinstance(question.by, SpanField) else among)
    if question.service is not None:
        predicate = of_service(question.service, predicate)
    return Search(predicate=predicate, since_ns=question.since_ns)


def _narrowed(search: Search, parameters: Parameters) -> str:
    """Compile the condition that a span is of a trace that a search finds; '' if it finds all."""
    return f"TraceId IN (SELECT TraceId {source(search, parameters)})" if search.clauses or search.since_ns is not None else ""


def _of(question: Question, field: Field) -> Field:
    return field if question.service is None else own_field(field)


def _rows(question: Question, search: Search, values: Mapping[str, Field], parameters: Parameters) -> str:
    """Compile the rows that a search finds, each with columns for values besides; of a service one for each of its versions."""
    added = {"TraceState": "State", "Rootless": UNFINISHED}
    if question.service is None:
        added |= {name: _value(field, parameters) for name, field in values.items()}
        return _select(added, search, parameters)
    asked = sorted({key for one in search.clauses if isinstance(one, SomeServicePart) for key in own_keys(one.operand)})
    keys = sorted({field.key for field in values.values() if _is_own(field)}.union(asked))
    places = {key: f"Part.{place}" for place, key in enumerate(keys, 2)}
    name = parameters.text(question.service)
    # A trace without root has the process of its earliest span: that one's service is the one that ended too early.
    added["Rootless"] = f"({UNFINISHED} AND ServiceName = {name})"
    added |= {column: places[field.key] if _is_own(field) else _value(field, parameters) for column, field in values.items()}
    if asked:
        added["Own"] = own_map({key: places[key] for key in asked}, parameters)
    # Columns of each of the service's parts: the requested keys, then the numbers. Parts that are equal in these are one.
    columns = ["`Services.Name`", *(OWN_COLUMNS[key] for key in keys), *(f"`Services.{column}`" for column in _OWN.values())]
    parts = f"arrayFilter(part -> part.1 = {name}, arrayZip({', '.join(columns)}))"
    told = f"({', '.join(f'part.{place + 1}' for place in range(len(keys) + 1))},)"
    for place, kind in enumerate(_OWN, len(keys) + 2):
        added[f"Own{kind}"] = f"arraySum(part -> if({told} = Part, part.{place}, 0), {parts})"
    if isinstance(question.by, SpanField):
        del added["OwnErrors"]
    return _select(added, search, parameters, joined=f"ARRAY JOIN arrayDistinct(arrayMap(part -> {told}, {parts})) AS Part")


def _select(added: Mapping[str, str], search: Search, parameters: Parameters, *, joined: str = "") -> str:
    return f"SELECT *, {', '.join(f'{sql} AS {name}' for name, sql in added.items())}\n{source(search, parameters, joined=joined)}"


def _is_own(field: Field) -> TypeGuard[MapField]:
    return isinstance(field, MapField) and field.column is MapColumn.OWN


def _value(field: Field, parameters: Parameters) -> str:
    value = hot_column(field) or value_of(field, parameters)
    return f"arrayJoin({value})" if is_many(field) else value
