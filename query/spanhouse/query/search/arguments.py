"""Conversion of the client's arguments to a search."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from spanhouse.query.errors import FilterError
from spanhouse.query.language import ast
from spanhouse.query.language.names import SOURCE_RUN, resolve_name
from spanhouse.query.language.order_by import read_order
from spanhouse.query.language.parser import parse_name
from spanhouse.query.language.predicate import Compare, MapColumn, MapField, Predicate, SpanField, TraceField, every
from spanhouse.query.language.redact import redact_filter
from spanhouse.query.language.resolver import read
from spanhouse.query.sql.resolved_search import Search
from spanhouse.query.sql.service_part import of_service
from spanhouse.schema.vocabulary import MODEL_ID

_log = logging.getLogger(__name__)

_MODEL: Final = MapField(MapColumn.METADATA, MODEL_ID.mlflow)


def read_arguments(
    *,
    experiment_ids: Sequence[str] | None,
    filter_string: str | None,
    order_by: Sequence[str] | None = None,
    run_id: str | None = None,
    model_id: str | None = None,
    locations: Sequence[str] | None = None,
    service: str | None = None,
) -> Search:
    """Read the arguments of a search; see ``TraceClient.search_traces``.

    Raises:
        FilterError: a mistake in the arguments.
    """
    if experiment_ids is not None and locations is not None:
        raise FilterError("experiment_ids and locations are the same", hint="give one of them")
    _log.debug("filter: %s", redact_filter(filter_string) if _log.isEnabledFor(logging.DEBUG) else "")
    written = read(filter_string)
    predicates: list[Predicate] = [written.predicate]
    for argument, field, value in (("run_id", SOURCE_RUN, run_id), ("model_id", _MODEL, model_id)):
        if value is not None:
            predicates.append(Compare(field=field, operator=ast.Operator.EQUAL, value=text_of(argument, value)))
    predicate = every(*predicates)
    return Search(
        predicate=predicate if service is None else of_service(text_of("service", service), predicate),
        written=written,
        services=_services("experiment_ids", experiment_ids) if locations is None else _services("locations", locations),
        order=read_order(order_by),
    )


def read_key(key: object) -> TraceField:
    """Return the field of a trace that a key names.

    Raises:
        FilterError: the key is unknown, or names a field of spans.
    """
    if not isinstance(key, str):
        raise FilterError(f"a key is a string, not {type(key).__name__}")
    field = resolve_name(parse_name(key), key)
    if isinstance(field, SpanField):
        raise FilterError(
            "traces are grouped by their own fields, not by fields of their spans", key, 0, len(key), "such as metadata.app_version or status"
        )
    return field


def _services(argument: str, names: Sequence[str] | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    if isinstance(names, str) or not isinstance(names, Sequence | set | frozenset):
        raise FilterError(f"{argument} is a list of service names", hint='write ["my-service"]')
    return tuple(sorted({text_of(argument, name) for name in names}))


def text_of(argument: str, value: object) -> str:
    """Check that an argument is text, and return it.

    Raises:
        FilterError: the argument is no text, or can't be encoded as UTF-8.
    """
    if not isinstance(value, str):
        raise FilterError(f"{argument} takes text, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise FilterError(f"{argument} holds a lone surrogate, which is not text") from None
    return value
