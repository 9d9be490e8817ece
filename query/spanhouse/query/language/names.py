"""Names of the filter language and their fields. All of them come from the vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, assert_never

from spanhouse.query.errors import FilterError, nearest
from spanhouse.query.language.ast import Identifier
from spanhouse.query.language.predicate import AttributeField, Field, MapColumn, MapField, SpanField
from spanhouse.schema import vocabulary
from spanhouse.schema.trace_attributes import ATTRIBUTES, SHORT_NAMES, SPAN_ATTRIBUTES, Type

REQUEST_ID: Final = AttributeField(ATTRIBUTES["request_id"])
"""Id of the trace, in MLflow's form."""
SOURCE_RUN: Final = MapField(MapColumn.METADATA, SHORT_NAMES["run_id"])
"""MLflow's metadata key for the run of a trace; ``run_id`` in filters."""
GIT_COMMIT: Final = MapField(MapColumn.METADATA, vocabulary.GIT_COMMIT.mlflow)
KIND: Final = SpanField(AttributeField(SPAN_ATTRIBUTES["kind"]))

_MAPS: Final[Mapping[str, MapColumn]] = MappingProxyType(
    {"metadata": MapColumn.METADATA, "request_metadata": MapColumn.METADATA, "tag": MapColumn.TAGS, "tags": MapColumn.TAGS}
)
_ATTRIBUTE_PREFIXES: Final = ("attribute", "attributes", "trace")
_OTHERS: Final = ("span", "resource")
_SPAN_FIELDS: Final[Mapping[str, Field]] = MappingProxyType(
    {name: SpanField(AttributeField(attribute)) for name, attribute in SPAN_ATTRIBUTES.items()}
)
_SPAN_KEYS: Final = (*_SPAN_FIELDS, "attributes.KEY")
_NAMES: Final[Mapping[str, Field]] = MappingProxyType(
    {name: AttributeField(attribute) for name, attribute in ATTRIBUTES.items()}
    | {name: MapField(MapColumn.METADATA, key) for name, key in SHORT_NAMES.items()}
    | {"text": _SPAN_FIELDS["content"]}
)
_DOTTED: Final = frozenset(name.partition(".")[0] for name in _NAMES if "." in name)
_CALLED_OTHERWISE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "trace_id": "request_id",
        "id": "request_id",
        "state": "status",
        "duration": "execution_time_ms",
        "latency": "execution_time_ms",
        "service": "metadata.service.name",
        "error": "error.type",
        "exception": "error.type",
        "session_id": "session",
        "user_id": "user",
        "model_id": f"metadata.{vocabulary.MODEL_ID.mlflow}",
        "version": f"metadata.{vocabulary.APP_VERSION.mlflow}",
        "tokens": "tokens.total",
        "commit": "git.commit",
        "branch": "git.branch",
    }
)
"""Common name for an attribute -> its name in this language, if the two are not similar in spelling."""
_NOT_STORED: Final[Mapping[str, str]] = MappingProxyType(
    {"feedback": "assessments", "expectation": "assessments", "issue": "assessments", "assessment": "assessments"}
)
"""Entity of MLflow that is not stored -> its plural, for the error."""


def resolve_name(name: Identifier, text: str) -> Field:
    """Return the field of a name.

    Args:
        name: parsed name.
        text: text that it was parsed from, for error messages.

    Raises:
        FilterError: the name is unknown.
    """
    if name.entity is not None and name.entity in _MAPS:
        return MapField(_MAPS[name.entity], name.key)
    if name.entity == "resource":
        return SpanField(MapField(MapColumn.RESOURCE_ATTRIBUTES, name.key))
    if field := _NAMES.get(f"{name.entity}.{name.key}"):
        return field
    if name.entity == "span":
        return _span_field(name, text)
    if name.entity is None or name.entity in _ATTRIBUTE_PREFIXES:
        return _attribute(name, text)
    if name.entity in _DOTTED:
        raise _error(f"unknown attribute '{name.entity}.{name.key}'", text, name, nearest(f"{name.entity}.{name.key}", _NAMES))
    if stored := _NOT_STORED.get(name.entity):
        raise _error(f"{name.entity}.* is not supported: no {stored} are stored", text, name, "filters ask for what spans carry")
    raise _error(f"unknown entity {name.entity!r}", text, name, nearest(name.entity, (*_MAPS, *_ATTRIBUTE_PREFIXES, *_OTHERS)))


def is_prompt(name: Identifier) -> bool:
    """Tell whether a name means the prompts that a trace used; they are no field, since a trace has any number of them."""
    return name.key == "prompt" and (name.entity is None or name.entity in _ATTRIBUTE_PREFIXES)


def _attribute(name: Identifier, text: str) -> Field:
    if field := _NAMES.get(name.key):
        return field
    if name.entity is None and name.key in {*_MAPS, *_OTHERS}:
        raise _error(f"{name.key!r} needs a key", text, name, f"write {name.key}.KEY")
    if is_prompt(name):
        raise _error("prompt is asked for by = alone", text, name, "write prompt = 'NAME/VERSION'")
    meant = _CALLED_OTHERWISE.get(name.key)
    raise _error(f"unknown attribute {name.key!r}", text, name, f"did you mean {meant!r}?" if meant else nearest(name.key, _NAMES))


def _span_field(name: Identifier, text: str) -> Field:
    if field := _SPAN_FIELDS.get(name.key):
        return field
    entity, dot, key = name.key.partition(".")
    if entity == "attributes":
        if dot:
            return SpanField(MapField(MapColumn.SPAN_ATTRIBUTES, key))
        raise _error("'span.attributes' needs a key", text, name, "write span.attributes.KEY")
    raise _error(f"a span has no {name.key!r}", text, name, nearest(name.key, _SPAN_KEYS))


def field_type(field: Field) -> Type:
    """Return the type by which a field's values are compared; values of maps are text."""
    match field:
        case SpanField(of=of):
            return field_type(of)
        case MapField():
            return Type.TEXT
        case AttributeField(attribute=attribute):
            return attribute.type
        case _:
            assert_never(field)


def is_map(field: Field) -> bool:
    """Tell whether a field is a key of a map; its texts may be numbers, versions and times."""
    return isinstance(field.of if isinstance(field, SpanField) else field, MapField)


def _error(message: str, text: str, place: Identifier, hint: str) -> FilterError:
    return FilterError(message, text, place.start, place.end, hint)
