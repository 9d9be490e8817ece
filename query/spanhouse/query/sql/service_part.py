"""Predicates on one service's part in a trace: its own versions, errors and time replace those of the whole trace."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from spanhouse.query.language.predicate import (
    All,
    AttributeField,
    Compare,
    Either,
    Field,
    MapColumn,
    MapField,
    Missing,
    Not,
    OneOf,
    Predicate,
    SomeServicePart,
    SomeSpan,
    every,
)
from spanhouse.schema.trace_attributes import ATTRIBUTES, Attribute, Type
from spanhouse.schema.vocabulary import APP_VERSION, GIT_BRANCH, GIT_COMMIT, SOURCE_TYPE

_COLUMNS: Final = {APP_VERSION: "Version", GIT_COMMIT: "Commit", GIT_BRANCH: "Branch", SOURCE_TYPE: "Environment"}
OWN_COLUMNS: Final[Mapping[str, str]] = MappingProxyType({key.mlflow: f"`Services.{column}`" for key, column in _COLUMNS.items()})
"""Metadata key that each service has of its own -> column with its value for each service of a trace."""
_OWN_KEYS: Final = {name: key.mlflow for key in _COLUMNS for name in key.names}
OWN_STATE: Final = "multiIf(OwnErrors > 0, 'ERROR', State = 'IN_PROGRESS', 'IN_PROGRESS', 'OK')"
_OWN_TIME: Final = "toInt64(intDiv(OwnTime, 1000000))"
_OWN_ATTRIBUTES: Final = MappingProxyType(
    {
        ATTRIBUTES["status"].sql: AttributeField(Attribute(name="status", sql=OWN_STATE, type=Type.STATE)),
        ATTRIBUTES["execution_time_ms"].sql: AttributeField(Attribute(name="execution_time_ms", sql=_OWN_TIME, type=Type.DURATION)),
    }
)
"""SQL of a trace's attribute -> the service's own attribute: its state, ERROR if one of its spans failed, and its self time."""


def of_service(service: str, predicate: Predicate) -> Predicate:
    """Restrict a predicate to a service's part: conditions on its own fields must hold for one of its versions, all others for the trace."""
    clauses = predicate.operands if isinstance(predicate, All) else (predicate,)
    owned = tuple(own(clause) for clause in clauses if is_own(clause))
    return every(SomeServicePart(service, All(owned)), *(clause for clause in clauses if not is_own(clause)))


def own(predicate: Predicate) -> Predicate:
    """Return the predicate with the trace's fields replaced by the service's own."""
    match predicate:
        case All(operands=operands):
            return All(tuple(map(own, operands)))
        case Either(operands=operands):
            return Either(tuple(map(own, operands)))
        case Not(operand=operand):
            return Not(own(operand))
        case Compare(field=field, operator=operator, value=value):
            return Compare(field=own_field(field), operator=operator, value=value)
        case OneOf(field=field, values=values, negated=negated):
            return OneOf(field=own_field(field), values=values, negated=negated)
        case Missing(field=field, negated=negated):
            return Missing(field=own_field(field), negated=negated)
        case SomeSpan() | SomeServicePart():
            return predicate


def own_field(field: Field) -> Field:
    """Return the service's own field for a trace's field; a field without one stays as it is."""
    match field:
        case MapField(column=MapColumn.METADATA, key=key) if key in _OWN_KEYS:
            return MapField(MapColumn.OWN, _OWN_KEYS[key])
        case AttributeField(attribute=attribute):
            return _OWN_ATTRIBUTES.get(attribute.sql, field)
        case _:
            return field


def is_own(predicate: Predicate) -> bool:
    """Tell whether a predicate has a field that a service has of its own."""
    return own(predicate) != predicate


def own_keys(predicate: Predicate) -> frozenset[str]:
    """Return the service's own keys in a predicate made by ``own``."""
    match predicate:
        case All(operands=operands) | Either(operands=operands):
            return frozenset().union(*map(own_keys, operands))
        case Not(operand=operand):
            return own_keys(operand)
        case Compare(field=field) | OneOf(field=field) | Missing(field=field):
            return frozenset({field.key}) if isinstance(field, MapField) and field.column is MapColumn.OWN else frozenset()
        case SomeSpan() | SomeServicePart():
            return frozenset()
