"""What can be asked of a trace itself: its states, and the attributes that filters compare and sort by.

Apart from the keys in ``vocabulary``, which every instrumented application loads at its start.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple


class Type(StrEnum):
    """Types of the values that a filter can compare."""

    TEXT = "text"
    MILLISECONDS = "milliseconds"
    """Unix time or a length of time, in whole milliseconds."""
    STATE = "state"
    """One of ``STATES``."""


class TraceState(StrEnum):
    """How a trace ended. Compares equal to its name."""

    OK = "OK"
    ERROR = "ERROR"
    IN_PROGRESS = "IN_PROGRESS"
    STATE_UNSPECIFIED = "STATE_UNSPECIFIED"


class Attribute(NamedTuple):
    """A trace attribute of the filter language.

    Attributes:
        name: the name that filters use.
        sql: the expression over columns of ``traces`` that gives its value. NULL or '' where a trace has none, see ``absent``.
        type: what it can be compared with.
        absent: SQL literal that stands for "no value"; None if every trace has one.
    """

    name: str
    sql: str
    type: Type
    absent: str | None = None


_TIMESTAMP: Final = "toUnixTimestamp64Milli(Timestamp)"
_EXECUTION_TIME: Final = "if(RootSpanId = '', NULL, toInt64(intDiv(Duration, 1000000)))"
_END_TIME: Final = "if(RootSpanId = '', NULL, toUnixTimestamp64Milli(Timestamp) + toInt64(intDiv(Duration, 1000000)))"

ATTRIBUTES: Final[Mapping[str, Attribute]] = MappingProxyType(
    {
        attribute.name: attribute
        for attribute in (
            Attribute(name="timestamp", sql=_TIMESTAMP, type=Type.MILLISECONDS),
            Attribute(name="timestamp_ms", sql=_TIMESTAMP, type=Type.MILLISECONDS),
            Attribute(name="execution_time", sql=_EXECUTION_TIME, type=Type.MILLISECONDS, absent="NULL"),
            Attribute(name="execution_time_ms", sql=_EXECUTION_TIME, type=Type.MILLISECONDS, absent="NULL"),
            Attribute(name="end_time", sql=_END_TIME, type=Type.MILLISECONDS, absent="NULL"),
            Attribute(name="end_time_ms", sql=_END_TIME, type=Type.MILLISECONDS, absent="NULL"),
            Attribute(name="status", sql="State", type=Type.STATE),
            Attribute(name="name", sql="Name", type=Type.TEXT, absent="''"),
            Attribute(name="request_id", sql="concat('tr-', TraceId)", type=Type.TEXT),
            Attribute(name="client_request_id", sql="ClientRequestId", type=Type.TEXT, absent="''"),
        )
    }
)
"""Names that stand alone in a filter, or after ``attribute.``, ``attributes.`` or ``trace.``."""
