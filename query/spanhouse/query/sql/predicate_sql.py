"""Predicate -> SQL condition on a row of ``traces``."""
# ruff: noqa: S608  SQL is built from this module's own words and placeholders; tests prove that a user's text is never among them

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from spanhouse.query.language.ast import Operator
from spanhouse.query.language.names import REQUEST_ID, is_map
from spanhouse.query.language.predicate import (
    EVERYTHING,
    All,
    AttributeField,
    Compare,
    Either,
    Field,
    FromNow,
    MapColumn,
    MapField,
    Missing,
    Moment,
    Not,
    OneOf,
    Predicate,
    SomeServicePart,
    SomeSpan,
    SpanField,
    Version,
)
from spanhouse.query.language.versions_and_times import TIME, VERSION, VERSION_STEPS
from spanhouse.query.sql.service_part import OWN_COLUMNS, own_keys
from spanhouse.query.sql.statement import Parameters
from spanhouse.schema.hot_keys import HOT_COLUMNS
from spanhouse.schema.trace_attributes import MLFLOW_JSON_KEYS, MLFLOW_REQUEST_ID, SENT_AS_TEXT


def exact(predicate: Predicate, parameters: Parameters, *, spans: str = "") -> str:
    """Compile a predicate to the equivalent condition on a row of ``traces``. It is 0 or 1, never NULL, so that NOT gives its opposite.

    Args:
        predicate: predicate without ``FromNow``.
        parameters: binds values and keys.
        spans: condition that holds for every span of any trace that can match; '' without one.
    """
    match predicate:
        case All(operands=operands):
            return "(" + (" AND ".join(exact(operand, parameters, spans=spans) for operand in operands) or "1") + ")"
        case Either(operands=operands):
            return "(" + " OR ".join(exact(operand, parameters, spans=spans) for operand in operands) + ")"
        case Not(operand=operand):
            return f"(NOT {exact(operand, parameters, spans=spans)})"
        case SomeSpan(operand=operand):
            asked = exact(operand, parameters)
            return f"TraceId IN (SELECT TraceId FROM otel_traces WHERE {f'{spans} AND {asked}' if spans else asked})"
        case SomeServicePart(service=service, operand=operand):
            return _service_part(service, operand, exact(operand, parameters, spans=spans), parameters)
        case Compare() | OneOf() if predicate.field == REQUEST_ID and (ids := _listed(predicate)):
            return f"TraceId IN {parameters.texts(ids)}"
        case Compare() | OneOf() if (column := hot_column(predicate.field)) and not _passes_empty(predicate):
            return test(predicate, column, parameters)
        case Compare() | OneOf():
            value = value_of(predicate.field, parameters)
            if is_many(predicate.field):
                return f"arrayExists(Element -> {test(predicate, 'Element', parameters)}, {value})"
            present = _present(predicate.field, value, parameters)
            tested = test(predicate, value, parameters)
            return f"({present} AND {tested})" if present else tested
        case Missing(field=field, negated=negated):
            present = _present(field, value_of(field, parameters), parameters) or "1"
            return present if negated else f"NOT {present}"
        case _:
            assert_never(predicate)


def _service_part(service: str, operand: Predicate, asked: str, parameters: Parameters) -> str:
    """Compile the condition that a service took part, and that one of its versions in the trace fulfils the operand."""
    name = parameters.text(service)
    took = f"has(`Services.Name`, {name})"
    if operand == EVERYTHING:
        return took
    values = {"OwnName": "`Services.Name`", "OwnErrors": "`Services.Errors`", "OwnTime": "`Services.SelfTime`"}
    if keys := sorted(own_keys(operand)):
        parts = {key: f"Own{number}" for number, key in enumerate(keys)}
        columns = ", ".join(OWN_COLUMNS[key] for key in keys)
        values["Own"] = f"arrayMap(({', '.join(parts.values())}) -> {own_map(parts, parameters)}, {columns})"
    return f"({took} AND arrayExists(({', '.join(values)}) -> OwnName = {name} AND {asked}, {', '.join(values.values())}))"


def own_map(values: Mapping[str, str], parameters: Parameters) -> str:
    """Compile the map of a service's own metadata without empty values; ``values`` maps keys to SQL."""
    pairs = ", ".join(f"{parameters.text(key)}, {value}" for key, value in values.items())
    return f"mapFilter((k, v) -> v != '', map({pairs}))"


def is_many(field: Field) -> bool:
    """Tell whether a field has a list of values, of which one must fulfil a comparison."""
    return is_many(field.of) if isinstance(field, SpanField) else isinstance(field, AttributeField) and field.attribute.many


def _listed(predicate: Compare | OneOf) -> tuple[str, ...]:
    """Return the bare ids of the only traces that pass a test of the id, for the table's index of ids; empty if others may pass."""
    values: tuple[object, ...] = ()
    if isinstance(predicate, OneOf):
        values = () if predicate.negated else predicate.values
    elif predicate.operator is Operator.EQUAL:
        values = (predicate.value,)
    return tuple(str(value).removeprefix("tr-") for value in values)


def hot_column(field: Field) -> str | None:
    """Return the column of a hot key, which is '' for a missing or an empty value; None for other fields."""
    return HOT_COLUMNS.get(field.key) if isinstance(field, MapField) and field.column is MapColumn.METADATA else None


def _passes_empty(predicate: Compare | OneOf) -> bool:
    """Tell whether an empty text may pass the test."""
    match predicate:
        case OneOf(values=values, negated=negated):
            return negated or "" in values
        case Compare(operator=operator, value=str() as wanted):
            return operator is not Operator.EQUAL or wanted == ""
        case _:
            return False


def value_of(field: Field, parameters: Parameters) -> str:
    """Compile a field's value; '' or NULL if it has none."""
    match field:
        case SpanField(of=of):
            return value_of(of, parameters)
        case MapField(column=MapColumn.SPAN_ATTRIBUTES, key=key):
            return _decoded(key, parameters)
        case MapField(column=column, key=key):
            return f"{column}[{parameters.text(key)}]"
        case AttributeField(attribute=attribute):
            return attribute.sql
        case _:
            assert_never(field)


def _decoded(key: str, parameters: Parameters) -> str:
    """Compile a span's attribute, without the JSON quotes that MLflow's tracer puts around text."""
    value = f"SpanAttributes[{parameters.text(key)}]"
    if key.startswith(SENT_AS_TEXT):
        return value
    by_mlflow = "" if key in MLFLOW_JSON_KEYS else f" AND startsWith(SpanAttributes['{MLFLOW_REQUEST_ID}'], '\"')"
    return f"if(startsWith({value}, '\"') AND isValidJSON({value}){by_mlflow}, JSONExtractString({value}), {value})"


def _present(field: Field, value: str, parameters: Parameters) -> str:
    """Compile the condition that a field has a value; '' if it always has one."""
    match field:
        case SpanField(of=of):
            return _present(of, value, parameters)
        case MapField(column=column, key=key):
            return f"mapContains({column}, {parameters.text(key)})"
        case AttributeField(attribute=attribute) if attribute.many:
            return f"notEmpty({value})"
        case AttributeField(attribute=attribute) if attribute.absent is None:
            return ""
        case AttributeField(attribute=attribute):
            return f"({value} IS NOT NULL)" if attribute.absent == "NULL" else f"({value} != '')"
        case _:
            assert_never(field)


def nullable(field: Field, parameters: Parameters) -> str:
    """Compile a field's value; NULL if it has none."""
    value = value_of(field, parameters)
    match field:
        case MapField():
            return f"if({_present(field, value, parameters)}, {value}, NULL)"
        case AttributeField(attribute=attribute) if attribute.many:
            return f"nullIf(arrayJoin(if(empty({value}), [''], {value})), '')"
        case AttributeField(attribute=attribute) if attribute.absent == "''":
            return f"nullIf({value}, '')"
        case _:
            return value


def test(predicate: Compare | OneOf, value: str, parameters: Parameters) -> str:
    """Compile the test of a field's value; the field has one."""
    if isinstance(predicate, OneOf):
        return _one_of(predicate, value, parameters)
    operator, wanted = predicate.operator, predicate.value
    match operator:
        case Operator.LIKE | Operator.ILIKE:
            return f"{value} {operator} {parameters.text(_like_pattern(str(wanted)))}"
        case Operator.RLIKE:
            return f"match({value}, {parameters.text(str(wanted))})"
        case _:
            pass
    match wanted:
        case Version(key=key):
            read = f"toLowCardinality({value})"
            return f"(match({read}, {parameters.text(VERSION)}) AND {_version_key(read, parameters)} {operator} {parameters.text(key)})"
        case Moment(unix_us=unix_us):
            read = f"toUnixTimestamp64Micro(parseDateTime64BestEffortOrNull({value}, 6, 'UTC'))"
            bound = parameters.add(unix_us, "Int64")
            return f"(match({value}, {parameters.text(TIME)}) AND ifNull({read} {operator} {bound}, 0))"
        case int() | float() if is_map(predicate.field):
            return f"ifNull(toFloat64OrNull({value}) {operator} {parameters.value(wanted)}, 0)"
        case str() | int() | float():
            return f"{value} {operator} {parameters.value(wanted)}"
        case FromNow():
            raise AssertionError("FromNow must be resolved by `at` before compilation")
        case _:
            assert_never(wanted)


def _one_of(predicate: OneOf, value: str, parameters: Parameters) -> str:
    operator = "NOT IN" if predicate.negated else "IN"
    if is_map(predicate.field) and not isinstance(predicate.values[0], str):
        return f"ifNull(toFloat64OrNull({value}) {operator} {parameters.values(predicate.values)}, 0)"
    return f"{value} {operator} {parameters.values(predicate.values)}"


def _version_key(value: str, parameters: Parameters) -> str:
    """Compile ``version_key`` of a value that is a version. For a LowCardinality the engine computes it once per distinct text of a block."""
    key = f"lower({value})"
    for pattern, replacement in VERSION_STEPS:
        key = f"replaceRegexpAll({key}, {parameters.text(pattern)}, {parameters.text(replacement)})"
    return key


def _like_pattern(pattern: str) -> str:
    """Double every backslash that escapes nothing: the engine refuses one at the end of a pattern."""
    pieces = []
    position = 0
    while position < len(pattern):
        pair = pattern[position : position + 2]
        if pair in {"\\%", "\\_", "\\\\"}:
            pieces.append(pair)
            position += 2
        else:
            pieces.append("\\\\" if pair[0] == "\\" else pair[0])
            position += 1
    return "".join(pieces)
