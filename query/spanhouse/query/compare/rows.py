"""One row for each trace, with what a comparison looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from spanhouse.query.compile_ import source
from spanhouse.query.conditions import hot_column, value_of
from spanhouse.query.predicate import All, OneOf, TraceField
from spanhouse.query.search import Search
from spanhouse.query.statement import Parameters


def trace_rows(search: Search, values: Mapping[str, TraceField], parameters: Parameters, *, among: OneOf | None, several: bool) -> str:
    """The SELECT that gives a row for each matching trace: at least the columns of ``traces``, and one for each of some fields.

    Args:
        search: which traces; order and ``after`` are not looked at.
        values: columns to add, by name: '' where a trace has no value.
        parameters: takes what is bound.
        among: what the caller keeps of the rows; None for all.
        several: as of ``source``.
    """
    kept = search if among is None else replace(search, predicate=All((*search.clauses, among)))
    added = [f"{hot_column(field) or value_of(field, parameters)} AS {name}" for name, field in values.items()]
    return f"SELECT {', '.join(['*', *added])}\n{source(kept, parameters, several=several)}"
