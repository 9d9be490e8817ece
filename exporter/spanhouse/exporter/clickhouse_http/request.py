"""Request of ClickHouse's HTTP interface: statement, parameters and settings from URL, headers and body."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32
from typing import Final
from urllib.parse import parse_qsl

from spanhouse.exporter.clickhouse_http.engine_errors import (
    BAD_ARGUMENTS,
    NOT_IMPLEMENTED,
    EngineError,
)

_MAX_FIELDS: Final = 2000
_MAX_QUERY_ID: Final = 256
_PARAMETER: Final = "param_"
_MAX_PART_HEAD: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Parsed request.

    Attributes:
        statement: the URL's ``query`` and the body, joined by a line break.
        fields: of the URL and of a multipart body: settings, parameters and the names below.
        headers: by lower-case name.
    """

    statement: bytes
    fields: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def parameters(self) -> dict[str, str]:
        """Values of the statement's parameters, by name."""
        return {name.removeprefix(_PARAMETER): value for name, value in self.fields.items() if name.startswith(_PARAMETER)}

    @property
    def database(self) -> str | None:
        """Default database of tables; None for the store's."""
        return self.fields.get("database") or self.headers.get("x-clickhouse-database") or None

    @property
    def default_format(self) -> str | None:
        """Output format of a statement without FORMAT."""
        return self.fields.get("default_format") or self.headers.get("x-clickhouse-format") or None

    @property
    def accepts(self) -> str:
        """The client's Accept-Encoding; '' without enable_http_compression."""
        return self.headers.get("accept-encoding", "") if is_on(self.fields, "enable_http_compression") else ""

    @property
    def in_blocks(self) -> bool:
        """True if the client wants the result in ClickHouse's compressed blocks."""
        return is_on(self.fields, "compress")


def read_fields(query_string: bytes) -> dict[str, str]:
    """Parse the URL's fields; of repeated ones the last counts.

    Raises:
        EngineError: the fields are not UTF-8, or too many.
    """
    try:
        pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise EngineError(BAD_ARGUMENTS, f"The URL must hold at most {_MAX_FIELDS} fields in percent-encoded UTF-8") from None
    return dict(pairs)


def query_id(fields: Mapping[str, str]) -> str:
    """Return the query's id: the client's, or a new one.

    Raises:
        EngineError: the client's is not valid in a response header.
    """
    given = fields.get("query_id", "")
    if not given:
        return str(uuid.uuid4())
    if len(given) > _MAX_QUERY_ID or not (given.isascii() and given.isprintable()):
        raise EngineError(BAD_ARGUMENTS, f"query_id must be at most {_MAX_QUERY_ID} printable ASCII characters")
    return given


def read_request(fields: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> Request:
    """Build a request from its parts.

    Args:
        fields: of the URL.
        headers: by lower-case name.
        body: decompressed.

    Raises:
        EngineError: a part can't be decoded, or is not supported.
    """
    if is_form(headers):
        fields = {**fields, **_read_form(headers["content-type"], body)}
        body = b""
    statement = fields.get("query", "").encode()
    if statement and body:
        statement += b"\n"
    return Request(statement=statement + body, fields=fields, headers=headers)


def is_on(fields: Mapping[str, str], name: str) -> bool:
    """Tell whether a field is set to 1 or true."""
    return fields.get(name) in {"1", "true"}


def is_form(headers: Mapping[str, str]) -> bool:
    """Tell whether the body is a multipart form."""
    return headers.get("content-type", "").lower().startswith("multipart/form-data")


def _read_form(content_type: str, body: bytes) -> dict[str, str]:
    """Parse the fields of a form by its boundary lines alone: forms have no nested parts or transfer encodings, unlike email."""
    boundary = _header(f"Content-Type: {content_type}".encode("latin-1")).get_boundary("").encode("latin-1", "replace")
    before, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary, _MAX_FIELDS + 1)
    if not boundary or before or not parts:
        raise EngineError(BAD_ARGUMENTS, "The request's body is not multipart/form-data, which its Content-Type names")
    if len(parts) > _MAX_FIELDS:
        raise EngineError(BAD_ARGUMENTS, f"The request's form must hold fewer than {_MAX_FIELDS} fields")
    form: dict[str, str] = {}
    for part in parts:
        if part.startswith(b"--"):
            break
        head, _, content = part.partition(b"\r\n\r\n")
        header = _header(head[:_MAX_PART_HEAD].lstrip())
        name = header.get_param("name", header="content-disposition")
        if header.get_filename() is not None or not isinstance(name, str):
            raise EngineError(NOT_IMPLEMENTED, "External data is not supported: join with a subquery or send it as a parameter")
        try:
            form[name] = content.decode()
        except UnicodeDecodeError:
            raise EngineError(BAD_ARGUMENTS, f"Form field {name[:64]!r} is not UTF-8") from None
    return form


def _header(head: bytes) -> Message:
    return BytesHeaderParser(policy=compat32).parsebytes(head)
