"""Data frames of traces, for pandas, Arrow or Polars."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final

from spanhouse.query.errors import FilterError, StoreUnavailableError
from spanhouse.query.models import TraceInfo

FRAME_COLUMNS: Final = (
    "trace_id",
    "client_request_id",
    "name",
    "state",
    "request_time",
    "execution_duration",
    "request_preview",
    "response_preview",
    "trace_metadata",
    "tags",
    "experiment_id",
    "span_count",
    "error_count",
    "input_tokens",
    "output_tokens",
    "cost",
)
"""Columns of a frame, each an attribute of ``TraceInfo``. Metadata and tags are dicts (maps in Arrow, lists of
``key`` and ``value`` in Polars); times are in ms."""

_MODULES: Final = {"pandas": "pandas", "arrow": "pyarrow", "polars": "polars"}


def check_format(name: str) -> str:
    """Check the name of a frame's format, and return it.

    Raises:
        FilterError: the format is unknown.
        StoreUnavailableError: the format's library is not installed.
    """
    if name not in _MODULES:
        raise FilterError(f"there is no frame format {name!r}", hint="known are " + ", ".join(_MODULES))
    try:
        import_module(_MODULES[name])
    except ModuleNotFoundError:
        raise StoreUnavailableError(f"format {name!r} needs the library: pip install {_MODULES[name]}") from None
    return name


def to_frame(infos: Iterable[TraceInfo], format_name: str) -> Any:
    """Make a table with the columns ``FRAME_COLUMNS``, one row per trace."""
    rows = list(infos)
    columns = {name: [getattr(info, name) for info in rows] for name in FRAME_COLUMNS}
    columns["state"] = [str(state) for state in columns["state"]]
    if format_name == "pandas":
        return import_module("pandas").DataFrame(columns)
    arrow = import_module("pyarrow")
    text, number = arrow.string(), arrow.int64()
    types = dict.fromkeys(FRAME_COLUMNS, text) | dict.fromkeys(("trace_metadata", "tags"), arrow.map_(text, text))
    types |= dict.fromkeys(("request_time", "execution_duration", "span_count", "error_count", "input_tokens", "output_tokens"), number)
    types["cost"] = arrow.float64()
    for name in ("trace_metadata", "tags"):
        columns[name] = [list(values.items()) for values in columns[name]]
    table = arrow.table({name: arrow.array(columns[name], type=types[name]) for name in FRAME_COLUMNS})
    return table if format_name == "arrow" else import_module("polars").from_arrow(table)
