"""What metadata there is to filter by: keys, and the values of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from spanhouse.query.statement import Statement

_KEYS: Final = """SELECT key, count() AS traces, uniqExact(value) AS distinct_values
FROM traces
ARRAY JOIN mapKeys(Metadata) AS key, mapValues(Metadata) AS value
GROUP BY key
ORDER BY key"""
_VALUES: Final = """SELECT Metadata[{key:String}] AS value, count() AS traces
FROM traces
WHERE mapContains(Metadata, {key:String})
GROUP BY value
ORDER BY traces DESC, value"""


@dataclass(frozen=True, slots=True)
class MetadataKey:
    """A metadata key that traces have.

    Attributes:
        key: the key.
        traces: how many traces have it.
        values: how many different values it has.
    """

    key: str
    traces: int
    values: int


def compile_keys() -> Statement:
    """The statement that gives each metadata key, its traces and its values, as ``MetadataKey``."""
    return Statement(_KEYS, {})


def compile_values(key: str) -> Statement:
    """The statement that gives each value of a metadata key and its traces, the most frequent first."""
    return Statement(_VALUES, {"key": key})
