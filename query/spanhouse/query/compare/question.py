"""Question of a comparison: arguments -> one checked value. Names become fields here, so no text of a user gets into SQL."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from spanhouse.query.errors import FilterError
from spanhouse.query.language.names import field_type, resolve_name
from spanhouse.query.language.order_by import EXPERIMENT
from spanhouse.query.language.parser import parse_name
from spanhouse.query.language.predicate import (
    All,
    AttributeField,
    Compare,
    Field,
    MapColumn,
    MapField,
    Missing,
    OneOf,
    Predicate,
    SpanField,
    TraceField,
)
from spanhouse.query.language.resolver import NO_FILTER, Filter, read
from spanhouse.query.search.arguments import text_of
from spanhouse.schema.trace_attributes import ATTRIBUTES, FIRST_TOKEN, Type
from spanhouse.schema.vocabulary import APP_VERSION, GIT_BRANCH, GIT_COMMIT, GIT_DIRTY, MODEL_ID, SERVICE_NAME, SOURCE_NAME, SOURCE_TYPE, TRACE_USER

ROOT_NAME: Final = AttributeField(ATTRIBUTES["name"])
COMMIT: Final = MapField(MapColumn.METADATA, GIT_COMMIT.mlflow)
_SHORT: Final[Mapping[str, TraceField]] = MappingProxyType(
    {
        "name": ROOT_NAME,
        "root-name": ROOT_NAME,
        "service": EXPERIMENT,
        SERVICE_NAME: EXPERIMENT,
        "version": MapField(MapColumn.METADATA, APP_VERSION.mlflow),
        "commit": COMMIT,
        "git.commit": COMMIT,
        "branch": MapField(MapColumn.METADATA, GIT_BRANCH.mlflow),
        "git.branch": MapField(MapColumn.METADATA, GIT_BRANCH.mlflow),
        "dirty": MapField(MapColumn.METADATA, GIT_DIRTY.mlflow),
        "model": AttributeField(ATTRIBUTES["model"]),
        "error.type": AttributeField(ATTRIBUTES["error.type"]),
        "model_id": MapField(MapColumn.METADATA, MODEL_ID.mlflow),
        "environment": MapField(MapColumn.METADATA, SOURCE_TYPE.mlflow),
        "source": MapField(MapColumn.METADATA, SOURCE_NAME.mlflow),
        "user": MapField(MapColumn.METADATA, TRACE_USER),
    }
)
"""Names that are shorter than the keys they stand for."""
_OF_SPANS: Final = ("resource.", "span.attributes.")
_ENTITIES: Final = ("metadata.", "request_metadata.", "tag.", "tags.", "attribute.", "attributes.", "trace.")
_AGO: Final = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_SECONDS: Final[Mapping[str, int]] = MappingProxyType({"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800})
_ENTITY: Final[Mapping[MapColumn, str]] = MappingProxyType(
    {
        MapColumn.METADATA: "metadata",
        MapColumn.OWN: "metadata",
        MapColumn.TAGS: "tag",
        MapColumn.SPAN_ATTRIBUTES: "span.attributes",
        MapColumn.RESOURCE_ATTRIBUTES: "resource",
    }
)
_PLAIN_KEY: Final = re.compile(r"\w+(\.\w+)*", re.ASCII)


_HIGHER: Final = ":higher"
"""Ends the name of a metric of which more is better."""


_SPAN: Final = "span.attributes."


@dataclass(frozen=True, slots=True)
class Asked:
    """A number that is compared because someone asks for it: of the metadata, of a tag, of the trace itself, or the mean of its spans' values.

    Attributes:
        field: field of the number.
        higher_is_better: True if a higher value is better.
        found_by: name in filters, if it is not the field's own.
        scale: factor from the number to the value of ``found_by``.
    """

    field: Field
    higher_is_better: bool = False
    found_by: str = ""
    scale: float = 1


FIRST_TOKEN_FIELD: Final = SpanField(AttributeField(FIRST_TOKEN))


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Question of a comparison.

    Attributes:
        by: field whose values are the versions.
        written: the filter of the traces to look at.
        since_ns: earliest start of a trace, in Unix nanoseconds; None for any.
        base: the value that is compared against; None for a table of all values.
        new: the value that is judged.
        per: field that splits the traces, to find where a change is; None for none.
        stratify: field of the strata, within which traces are compared; None for none.
        metrics: further numbers of a trace to compare.
        spans_ns: first and last moment between which the spans of all these traces began, in Unix nanoseconds; None while it is not known.
        series: True if the data for pictures is read, too.
        service: the service whose part in traces is looked at; None for whole traces.
    """

    by: Field
    written: Filter = NO_FILTER
    since_ns: int | None = None
    base: str | None = None
    new: str | None = None
    per: TraceField | None = None
    stratify: TraceField | None = ROOT_NAME
    metrics: tuple[Asked, ...] = ()
    spans_ns: tuple[int, int] | None = None
    series: bool = False
    service: str | None = None

    @property
    def predicate(self) -> Predicate:
        """Conditions that the traces fulfil."""
        return self.written.predicate

    @property
    def where(self) -> str:
        """The same as a filter string; '' for all."""
        return self.written.text


def read_question(
    by: str,
    base: str | None = None,
    new: str | None = None,
    where: str | None = None,
    *,
    since: str | None = None,
    per: str | None = None,
    metrics: Sequence[str] = (),
    stratify: str | None = "name",
    series: bool = False,
    service: str | None = None,
) -> Question:
    """Check the arguments of ``TraceClient.compare``.

    Raises:
        FilterError: one of them is wrong.
    """
    if (base is None) != (new is None):
        raise FilterError("one value is no comparison", hint="give BASE and NEW, or neither for a table of all values")
    if base is not None and base == new:
        raise FilterError(f"{base!r} is compared with itself", hint="give two different values")
    if isinstance(metrics, str):
        raise FilterError("metrics is a list of names", hint='write ["metadata.score"]')
    return Question(
        by=read_version(by),
        written=read(where),
        since_ns=None if since is None else read_since(since),
        base=base,
        new=new,
        per=None if per is None else read_field(per),
        stratify=None if stratify is None or stratify == "none" else read_field(stratify),
        metrics=tuple(_metric(name) for name in metrics),
        series=series,
        service=None if service is None else text_of("service", service),
    )


def read_version(name: str) -> Field:
    """Read the name of the field whose values are the versions: a field of the trace, or ``resource.K`` or ``span.attributes.K`` of its spans.

    Raises:
        FilterError: it is empty, or nothing to group by.
    """
    return _of_spans(name) if name.startswith(_OF_SPANS) else read_field(name)


def _of_spans(name: str) -> SpanField:
    """Read an attribute of spans or of their processes; its key is taken as it is, since those of conventions have dots and dashes."""
    (entity,) = (entity for entity in _OF_SPANS if name.startswith(entity))
    key = name.removeprefix(entity)
    key = key[1:-1].replace("``", "`") if len(key) > 1 and key[0] == key[-1] == "`" else key
    if not key:
        raise FilterError(f"{entity[:-1]!r} needs a key", name, 0, len(name), f"write {entity}KEY")
    return SpanField(MapField(MapColumn.RESOURCE_ATTRIBUTES if entity == "resource." else MapColumn.SPAN_ATTRIBUTES, key))


def read_field(name: str) -> TraceField:
    """Return the field that a name means: a short one, one as filters write it, or else a metadata key.

    Raises:
        FilterError: it is empty, or nothing to group by.
    """
    if not name:
        raise FilterError("what to compare by is a name", hint='such as "app_version" or "metadata.region"')
    if field := _SHORT.get(name):
        return field
    if not name.startswith(_ENTITIES):
        return MapField(MapColumn.METADATA, name)
    meant = resolve_name(parse_name(name), name)
    if isinstance(meant, SpanField) or (isinstance(meant, AttributeField) and meant != ROOT_NAME):
        raise FilterError(f"{name} tells no versions apart", name, 0, len(name), "name a metadata key, a tag, name or service")
    return meant


def _metric(name: str) -> Asked:
    bare = name.removesuffix(_HIGHER)
    return Asked(_number(bare), higher_is_better=name != bare)


def _number(name: str) -> Field:
    """Return the field of a metric: ``first-token``, a number of the trace, an attribute of its spans, or as ``read_field`` reads names."""
    if name == FIRST_TOKEN.name:
        return FIRST_TOKEN_FIELD
    field: Field
    if name.startswith(_SPAN):
        field = _of_spans(name)
    elif attribute := ATTRIBUTES.get(name):
        field = AttributeField(attribute)
    else:
        field = read_field(name)
    if isinstance(field, AttributeField) and field_type(field) not in {Type.NUMBER, Type.DURATION}:
        hint = "name a metadata key, span.attributes.KEY, or one of the trace's own numbers, such as tokens.total"
        raise FilterError(f"{name} is no number", name, 0, len(name), hint)
    return field


def read_since(text: str) -> int:
    """Return the Unix nanoseconds of a time so long ago: a whole number and s, m, h, d or w.

    Raises:
        FilterError: the text is something else.
    """
    found = _AGO.fullmatch(text)
    if found is None:
        raise FilterError(f"since {text!r} is no length of time", hint="write a number and s, m, h, d or w: 7d")
    return time.time_ns() - int(found[1]) * _SECONDS[found[2]] * 10**9


def name_of(field: Field) -> str:
    """Return a field as filters write it."""
    if isinstance(field, SpanField):
        return name_of(field.of)
    if isinstance(field, AttributeField):
        return f"metadata.{SERVICE_NAME}" if field == EXPERIMENT else field.attribute.name
    entity = _ENTITY[field.column]
    quoted = field.key if _PLAIN_KEY.fullmatch(field.key) else "`" + field.key.replace("`", "``") + "`"
    return f"{entity}.{quoted}"


def clause(field: Field, value: str) -> str:
    """Return the filter that a field has a value."""
    return f"{name_of(field)} = {_quoted(value)}"


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def version_clause(question: Question, value: str) -> str:
    """Return the filter that a trace, or the service's part in the trace, is of a version."""
    of_service = question.service is not None and isinstance(question.by, SpanField)
    return filter_of(f"resource.{SERVICE_NAME} = {_quoted(question.service or '')}" if of_service else "", clause(question.by, value))


def filter_of(*clauses: str) -> str:
    """Join filters by AND; '' among them is left out."""
    return " AND ".join(one for one in clauses if one)


def where_of(question: Question) -> str:
    """Return the question's filter, fit to be joined with others by AND."""
    plain = isinstance(question.predicate, All | Compare | OneOf | Missing)
    return question.where if plain or not question.where else f"({question.where})"
