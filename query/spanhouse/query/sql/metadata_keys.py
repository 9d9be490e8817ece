"""Statements that list metadata keys, and the values of one key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from spanhouse.query.sql.statement import Parameters, Statement
from spanhouse.schema.hot_keys import HOT_COLUMNS
from spanhouse.schema.vocabulary import SERVICE_NAME, SESSION, TRACE_USER

_COUNTED: Final = {SERVICE_NAME: "ServiceName"} | {key: column for key, column in HOT_COLUMNS.items() if key not in {SESSION, TRACE_USER}}
"""Metadata key with few values -> its column."""
_KEYS: Final = "SELECT Key, Values, Complete, FirstDay, LastDay FROM metadata_keys ORDER BY Key"
_COUNTED_VALUES: Final = """SELECT {column} AS Value, count() AS Traces
FROM spanhouse_trace_rows FINAL
WHERE Value != ''
GROUP BY Value
ORDER BY Traces DESC, Value"""
_LISTED_VALUES: Final = "SELECT Value, NULL FROM metadata_values WHERE Key = {key} ORDER BY LastDay DESC, Value"


@dataclass(frozen=True, slots=True)
class MetadataKey:
    """A metadata key that traces have had.

    Attributes:
        key: name of the key.
        values: number of distinct listed values.
        complete: False if the key has more values than are listed, as an id has.
        first_day: day of the first trace with the key, in UTC.
        last_day: day of the last trace with the key, in UTC.
    """

    key: str
    values: int
    complete: bool
    first_day: date
    last_day: date


def compile_keys() -> Statement:
    """Compile the statement that lists each metadata key, as ``MetadataKey``."""
    return Statement(_KEYS, {})


def compile_values(key: str) -> Statement:
    """Compile the statement that lists the values of a metadata key, each with the number of its traces or NULL.

    Traces are counted if the key has a column of its own and few values. Empty values are not listed.
    """
    if column := _COUNTED.get(key):
        return Statement(_COUNTED_VALUES.format(column=column), {})
    parameters = Parameters()
    return Statement(_LISTED_VALUES.format(key=parameters.text(key)), parameters.bound())
