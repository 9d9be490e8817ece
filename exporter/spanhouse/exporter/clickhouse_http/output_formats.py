"""Output formats that neither read files nor open connections."""

from __future__ import annotations

from typing import Final

from spanhouse.exporter.clickhouse_http.engine_errors import UNKNOWN_FORMAT, QueryRefusedError

_FORMATS: Final = frozenset(
    {
        "Arrow",
        "ArrowStream",
        "Avro",
        "BSONEachRow",
        "CSV",
        "CSVWithNames",
        "CSVWithNamesAndTypes",
        "JSON",
        "JSONColumns",
        "JSONColumnsWithMetadata",
        "JSONCompact",
        "JSONCompactColumns",
        "JSONCompactEachRow",
        "JSONCompactEachRowWithNames",
        "JSONCompactEachRowWithNamesAndTypes",
        "JSONCompactStrings",
        "JSONCompactStringsEachRow",
        "JSONCompactStringsEachRowWithNames",
        "JSONCompactStringsEachRowWithNamesAndTypes",
        "JSONEachRow",
        "JSONLines",
        "JSONObjectEachRow",
        "JSONStrings",
        "JSONStringsEachRow",
        "LineAsString",
        "Markdown",
        "MsgPack",
        "NDJSON",
        "Native",
        "Npy",
        "Null",
        "ORC",
        "Parquet",
        "Pretty",
        "PrettyCompact",
        "PrettyCompactMonoBlock",
        "PrettyCompactNoEscapes",
        "PrettyJSONEachRow",
        "PrettyMonoBlock",
        "PrettyNoEscapes",
        "PrettySpace",
        "PrettySpaceNoEscapes",
        "Prometheus",
        "RawBLOB",
        "RowBinary",
        "RowBinaryWithNames",
        "RowBinaryWithNamesAndTypes",
        "SQLInsert",
        "TSKV",
        "TSV",
        "TSVRaw",
        "TSVRawWithNames",
        "TSVRawWithNamesAndTypes",
        "TSVWithNames",
        "TSVWithNamesAndTypes",
        "TabSeparated",
        "TabSeparatedRaw",
        "TabSeparatedRawWithNames",
        "TabSeparatedRawWithNamesAndTypes",
        "TabSeparatedWithNames",
        "TabSeparatedWithNamesAndTypes",
        "Values",
        "Vertical",
        "XML",
    }
)
_BY_LOWER_CASE: Final = {name.lower(): name for name in _FORMATS}


_STREAMABLE: Final = frozenset(
    {
        "CSV",
        "JSONCompactEachRow",
        "JSONCompactStringsEachRow",
        "JSONEachRow",
        "JSONLines",
        "JSONStringsEachRow",
        "LineAsString",
        "MsgPack",
        "NDJSON",
        "Native",
        "RowBinary",
        "TSKV",
        "TSV",
        "TSVRaw",
        "TabSeparated",
        "TabSeparatedRaw",
    }
)


def is_streamable(name: str) -> bool:
    """Tell whether a result in this format is the plain concatenation of its blocks, without header or footer."""
    return name in _STREAMABLE


def format_named(name: str) -> str:
    """Return an output format by its name in any case.

    Raises:
        QueryRefusedError: the endpoint does not write this format.
    """
    found = _BY_LOWER_CASE.get(name.lower())
    if found is None:
        raise QueryRefusedError(UNKNOWN_FORMAT, f"This endpoint does not write format {name[:64]!r}")
    return found
