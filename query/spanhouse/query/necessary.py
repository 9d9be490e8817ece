"""Search -> conditions that every matching trace fulfils and that cost little: by them the view merges few traces.

The view ``traces_merged`` merges the rows of every trace that it is asked for, so a search first names the traces that can match at all, from
single rows of ``trace_carriers``. That loses none: what comes from the root (name, service, start, duration) stands in the root's row,
and each value of the merged metadata stands verbatim in the root's row or in that of another span that set it for the trace; a tag that
was edited later stands in ``trace_tags``. The exact condition is applied to the view as well, always.
"""
# ruff: noqa: S608  what is put together here are this module's own words and placeholders; tests hold that a user's are never among them

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from spanhouse.query.ast import Operator
from spanhouse.query.conditions import exact, test
from spanhouse.query.names import REQUEST_ID
from spanhouse.query.predicate import All, AttributeField, Compare, Either, MapColumn, MapField, OneOf, Predicate, SomeSpan, Value
from spanhouse.query.search import EARLIEST_NS, LATEST_NS, Search, is_start
from spanhouse.query.statement import Parameters, Statement
from spanhouse.schema.hot_keys import HOT_COLUMNS, own_bit
from spanhouse.schema.trace_attributes import TraceState
from spanhouse.schema.vocabulary import TRACE_NAME_TAG


@dataclass(frozen=True, slots=True)
class _Look:
    """A condition that the root's row of a matching trace fulfils, or else, if ``elsewhere`` is not empty, some row that fulfils that.

    Attributes:
        root: on the columns that ``trace_rows`` and ``trace_carriers`` both have.
        elsewhere: on columns of ``trace_carriers``.
        implied: whether every row that fulfils ``elsewhere`` fulfils ``root``.
    """

    root: str
    elsewhere: str = ""
    implied: bool = True

    def sql(self) -> str:
        """The condition on the root's row."""
        return f"({self.root} OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE {self.elsewhere}))" if self.elsewhere else f"({self.root})"

    def of_any_row(self) -> str:
        """The condition that a row fulfils if it is the root's or says elsewhere what matches."""
        return f"({self.root})" if self.implied else f"({self.root} OR {self.elsewhere})"


def necessary(search: Search, parameters: Parameters) -> Iterator[str]:
    """Conditions on TraceId and Timestamp of ``traces``."""
    for ids in trace_ids(search):
        yield f"TraceId IN {parameters.add(ids, 'Array(String)')}"
    if candidates := _candidates(search, parameters):
        yield f"TraceId IN ({candidates})"


def of_candidates(search: Search, parameters: Parameters) -> str:
    """A condition on rows of ``otel_traces`` that all spans of matching traces fulfil; '' where it would not spare much."""
    conditions = [f"TraceId IN {parameters.texts(ids)}" for ids in trace_ids(search)]
    earliest_ns, latest_ns = search.start_bounds_ns()
    looked_for = next(_all_looks(search, Parameters()), None) is not None
    if candidates := _candidates(search, parameters):
        if looked_for:
            conditions.append(f"TraceId IN ({candidates})")
        times = "SELECT {} FROM trace_carriers WHERE TraceId IN ({})"
        if looked_for or earliest_ns > EARLIEST_NS:
            conditions.append(f"Timestamp >= ({times.format('min(First)', candidates)})")
        if looked_for or latest_ns < LATEST_NS:
            conditions.append(f"Timestamp <= ({times.format('max(Last)', candidates)})")
    return " AND ".join(conditions)


def _candidates(search: Search, parameters: Parameters) -> str:
    """The SELECT of the ids of the traces that can match; '' if that goes for all."""
    looks = list(_all_looks(search, parameters))
    times = list(_times(search, parameters))
    # A row elsewhere that fulfils the only condition there is names its trace itself.
    alone = len(looks) == 1 and not times
    conditions = [*times, *(look.of_any_row() if alone else look.sql() for look in looks)]
    return f"SELECT TraceId FROM trace_carriers WHERE {' AND '.join(conditions)}" if conditions else ""


def seeming(search: Search, parameters: Parameters) -> list[str]:
    """Conditions on a row of ``trace_rows`` that the root's row of every matching trace fulfils, unless another row says what matches."""
    return [*_times(search, parameters), *(f"({look.root})" for look in _all_looks(search, parameters))]


def said_elsewhere(search: Search, parameters: Parameters) -> str:
    """The condition on rows that say something that matches of their trace, whose root may not say it; '' if there can be none."""
    clauses = [clause for clause in search.clauses if any(look.elsewhere for look in _looks(clause, Parameters()))]
    return " OR ".join(f"({look.elsewhere})" for clause in clauses for look in _looks(clause, parameters) if look.elsewhere)


def compile_newest_spans(search: Search, *, limit: int) -> Statement:
    """The statement that looks for the newest spans that fulfil what is asked of one, one of each trace, for ``limit`` of them.

    It gives one row: how many it found, and the oldest one's start in Unix milliseconds. Since a span mostly starts when its trace does or a
    little later, about so many traces start from then on; which they are is for others to say.
    """
    parameters = Parameters()
    asked = next(exact(clause.operand, parameters) for clause in search.clauses if isinstance(clause, SomeSpan))
    narrowed = next(_all_looks(search, Parameters()), None) is not None
    candidates = [f"TraceId IN ({_candidates(search, parameters)})"] if narrowed else []
    where = " AND ".join([*_times(search, parameters), *candidates, asked])
    newest = f"SELECT Timestamp FROM otel_traces WHERE {where} ORDER BY Timestamp DESC LIMIT 1 BY TraceId"
    return Statement(
        f"SELECT count(), toUnixTimestamp64Milli(min(Timestamp))\nFROM ({newest} LIMIT {parameters.add(limit, 'UInt64')})", parameters.bound()
    )


def _all_looks(search: Search, parameters: Parameters) -> Iterator[_Look]:
    # Of the start and of ids more is made than a look, where they go for the whole search.
    clauses = (clause for clause in search.clauses if not (isinstance(clause, Compare | OneOf) and _has_better(clause)))
    yield from _services(search, parameters)
    for clause in clauses:
        yield from _looks(clause, parameters)


def _has_better(clause: Compare | OneOf) -> bool:
    return is_start(clause.field) or clause.field == REQUEST_ID


def _times(search: Search, parameters: Parameters) -> Iterator[str]:
    """Conditions on the root's row by when a matching trace can start."""
    earliest_ns, latest_ns = search.start_bounds_ns()
    if earliest_ns > EARLIEST_NS:
        yield f"Timestamp >= {parameters.nanoseconds(earliest_ns)}"
    if latest_ns < LATEST_NS:
        yield f"Timestamp <= {parameters.nanoseconds(latest_ns)}"


def _services(search: Search, parameters: Parameters) -> Iterator[_Look]:
    if search.services is not None:
        yield _Look(f"ServiceName IN {parameters.add(search.services, 'Array(String)')}")


def _looks(predicate: Predicate, parameters: Parameters) -> Iterator[_Look]:
    match predicate:
        case Compare() | OneOf() if _narrows(predicate):
            yield from _clause_looks(predicate, parameters)
        case All(operands=operands):
            for operand in operands:
                yield from _looks(operand, parameters)
        case Either(operands=operands):
            yield from _either(operands, parameters)
        case _:
            pass


def _either(operands: Iterable[Predicate], parameters: Parameters) -> Iterator[_Look]:
    """One look for all of what is joined by OR, if there is one for each."""
    branches = [list(_looks(operand, parameters)) for operand in operands]
    if all(branches):
        elsewhere = [look.elsewhere for looks in branches for look in looks if look.elsewhere]
        roots = [" AND ".join(f"({look.root})" for look in looks) for looks in branches]
        implied = all(len(looks) == 1 and looks[0].implied for looks in branches)
        yield _Look(" OR ".join(f"({root})" for root in roots), " OR ".join(f"({condition})" for condition in elsewhere), implied)


def _narrows(clause: Compare | OneOf) -> bool:
    """Whether a minority of values passes a clause, so that it is worth looking for in the rows."""
    return not clause.negated if isinstance(clause, OneOf) else clause.operator is not Operator.NOT_EQUAL


def _clause_looks(clause: Compare | OneOf, parameters: Parameters) -> Iterator[_Look]:
    match clause.field:
        case AttributeField(attribute=attribute) if attribute.name == "name":
            yield _Look(test(clause, "Name", parameters))
        case AttributeField(attribute=attribute) if attribute.name in {"execution_time", "execution_time_ms"}:
            yield _Look(test(clause, "intDiv(Duration, 1000000)", parameters))
        case field if is_start(field):
            yield _Look(test(clause, "toUnixTimestamp64Milli(Timestamp)", parameters))
        case AttributeField(attribute=attribute) if attribute.name == "request_id":
            condition = test(clause, "concat('tr-', TraceId)", parameters)
            yield _Look(condition, condition)
        case AttributeField(attribute=attribute) if attribute.name == "client_request_id":
            condition = test(clause, "ClientRequestId", parameters)
            yield _Look(condition, condition)
        case AttributeField(attribute=attribute) if attribute.name == "status" and _values(clause) == {TraceState.ERROR}:
            yield _Look("StateAlone = 'ERROR'", "State = 'ERROR'")
        case MapField(column=MapColumn.TAGS, key=key) if key == TRACE_NAME_TAG:
            # What the application set as a tag yields to the name, if there is one.
            tags = _in_row(clause, "SentTags", parameters.text(key), parameters)
            yield _Look(f"{test(clause, 'Name', parameters)} OR {tags} OR {_edited(clause, key, parameters)}", tags)
        case MapField(column=MapColumn.TAGS, key=key):
            tags = _in_row(clause, "SentTags", parameters.text(key), parameters)
            yield _Look(f"{tags} OR {_edited(clause, key, parameters)}", tags)
        case MapField(column=MapColumn.METADATA, key=key) if column := HOT_COLUMNS.get(key):
            condition = test(clause, column, parameters)
            yield _Look(condition, f"bitTest(Own, {own_bit(key)}) AND {condition}")
        case MapField(column=MapColumn.METADATA, key=key):
            named = parameters.text(key)
            condition = _in_row(clause, "Metadata", named, parameters)
            yield _Look(condition, f"(has(TraceKeys, {named}) AND {condition})")
        case _:
            pass


def _in_row(clause: Compare | OneOf, column: str, key: str, parameters: Parameters) -> str:
    """The condition that a row's map holds a value that passes. Reading keys is cheap, reading values is not."""
    return f"(mapContains({column}, {key}) AND {test(clause, f'{column}[{key}]', parameters)})"


def _edited(clause: Compare | OneOf, key: str, parameters: Parameters) -> str:
    """The condition that the row is of a trace for which a value that passes was set later, as a tag."""
    edits = f"SELECT TraceId FROM trace_tags WHERE Key = {parameters.text(key)} AND {test(clause, 'Value', parameters)}"
    return f"TraceId IN ({edits})"


def trace_ids(search: Search) -> Iterator[tuple[str, ...]]:
    """Lists of bare trace ids of which each holds all traces that can match."""
    for clause in search.clauses:
        if isinstance(clause, Compare | OneOf) and _narrows(clause) and clause.field == REQUEST_ID and (values := _values(clause)):
            yield tuple(sorted(str(value).removeprefix("tr-") for value in values))


def _values(clause: Compare | OneOf) -> set[Value]:
    """The values that a clause allows, listed; empty if they are not."""
    if isinstance(clause, OneOf):
        return set(clause.values)
    return {clause.value} if clause.operator is Operator.EQUAL else set()
