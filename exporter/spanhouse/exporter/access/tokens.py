"""Tokens and their rights: the token file, and the headers in which clients send a token.

A token is looked up by its SHA-256, so a look-up's time depends on hashes alone. Timing reveals at most how the hash of a guess compares with a
stored one, and an attacker can't choose a guess by its hash: a comparison in constant time would add nothing.
"""

from __future__ import annotations

import hashlib
import logging
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from spanhouse.exporter.address import ConfigError
from spanhouse.exporter.errors import ExportError, PermissionDeniedError, UnauthenticatedError

_log = logging.getLogger(__name__)

_LINE: Final = re.compile(r"(?P<name>[^:\s]+):(?P<sha256>[0-9a-fA-F]{64})(?::(?P<rights>[a-z, ]+))?\Z")

_KEY_HEADERS: Final = ("x-api-key", "api-key", "x-clickhouse-key")
"""Headers that hold a bare token: of OTLP clients that can set one header only, and of ClickHouse clients."""
_NO_TOKEN: Final = hashlib.sha256(b"").hexdigest()

HeaderLookup = Callable[[str], str | None]
"""Returns a request header by its lower-case name, None if the request lacks it."""


class Right(StrEnum):
    """Right of a token."""

    INGEST = "ingest"
    READ = "read"
    WRITE = "write"


_DEFAULT_RIGHTS: Final = frozenset({Right.INGEST, Right.READ})


@dataclass(frozen=True, slots=True)
class Tokens:
    """Known tokens, by the SHA-256 of their text. The text itself is not stored.

    Attributes:
        rights: rights of each.
        names: name of each.
    """

    rights: Mapping[str, frozenset[Right]]
    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Tokens:
        """Read a token file: one ``name:sha256-of-token[:rights]`` a line; blank lines and lines that begin with # are skipped.

        Raises:
            ConfigError: the file can't be read, or a line has another form; the message names the line, never its text.
        """
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise ConfigError(f"--token-file {path}: {reason}") from None
        rights: dict[str, frozenset[Right]] = {}
        names: dict[str, str] = {}
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            found = _LINE.match(line.strip())
            if found is None:
                raise ConfigError(f"--token-file {path}, line {number}: expected name:sha256-of-token[:ingest,read,write]")
            named = [right.strip() for right in (found["rights"] or "").split(",") if right.strip()]
            if unknown := set(named) - set(Right):
                raise ConfigError(f"--token-file {path}, line {number}: {min(unknown)!r} is not a right; rights are ingest, read, write")
            if found["sha256"].lower() == _NO_TOKEN:
                raise ConfigError(f"--token-file {path}, line {number}: this is the hash of an empty token; make one first")
            rights[found["sha256"].lower()] = frozenset(map(Right, named)) or _DEFAULT_RIGHTS
            names[found["sha256"].lower()] = found["name"]
        return cls(rights, names)

    def require(self, right: Right, header: HeaderLookup) -> str:
        """Refuse a request without a token that has this right.

        Returns:
            The token's name.

        Raises:
            UnauthenticatedError: the request has no known token.
            PermissionDeniedError: its token lacks the right.
        """
        token = _token(header)
        digest = hashlib.sha256(token).hexdigest() if token is not None else ""
        allowed = self.rights.get(digest)
        if allowed is None:
            raise UnauthenticatedError("send a token from this server's token file: Authorization: Bearer TOKEN, or X-API-Key: TOKEN")
        if right not in allowed:
            raise PermissionDeniedError(f"the token does not allow to {right}: its line in the token file needs the right {right.value!r}")
        return self.names.get(digest, "")


CurrentTokens = Callable[[], Tokens | None]
"""Returns the current tokens; None without a token file, when every client is accepted."""


class TokenFile:
    """Token file that can be reloaded; a ``CurrentTokens``.

    Args:
        path: of the file; None without one.
        tokens: its tokens.
    """

    def __init__(self, path: Path | None, tokens: Tokens | None) -> None:
        self._path = path
        self._tokens = tokens

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """Read a token file; None accepts every client.

        Raises:
            ConfigError: as ``Tokens.read``.
        """
        if path is None:
            return cls(None, None)
        return cls(path.absolute(), Tokens.read(path))  # absolute, since the process may change its working directory before a reload

    def __call__(self) -> Tokens | None:
        """Return the current tokens."""
        return self._tokens

    def reload(self) -> None:
        """Read the file again; on an error the former tokens stay in use."""
        if self._path is None:
            return
        try:
            self._tokens = Tokens.read(self._path)
        except ConfigError as error:
            _log.error("the token file was not reloaded, the former tokens stay in use: %s", error)
        else:
            _log.info("token file reloaded: %d tokens in %s", len(self._tokens.rights), self._path)

    def authorizer(self, right: Right) -> Callable[[Mapping[str, str]], str | None]:
        """Return a function from a request's headers (lower-case names) to the name of its token; None if that lacks the right."""

        def authorize(headers: Mapping[str, str]) -> str | None:
            try:
                return "" if self._tokens is None else self._tokens.require(right, headers.get)
            except ExportError:
                return None

        return authorize


def _token(header: HeaderLookup) -> bytes | None:
    """Return the token of ``Authorization: Bearer``, the password of ``Authorization: Basic``, or a key header."""
    scheme, _, value = (header("authorization") or "").partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip().encode()
        case "basic":
            try:
                return b64decode(value.strip(), validate=True).partition(b":")[2]
            except ValueError:
                return None
    return next((key.encode() for name in _KEY_HEADERS if (key := header(name)) is not None), None)
