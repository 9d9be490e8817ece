"""Who may do what: the token file and the headers in which clients send a token.

A token is looked up by its SHA-256, so the time of a look-up depends on hashes alone. Who measures it learns at most how the hash of a guess
compares with a stored one, and can't choose a guess by its hash: there is nothing that a comparison in constant time would add.
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
from typing import Final

from spanhouse.exporter.address import ConfigError
from spanhouse.exporter.errors import ExportError, PermissionDeniedError, UnauthenticatedError

_log = logging.getLogger(__name__)

_LINE: Final = re.compile(r"(?P<name>[^:\s]+):(?P<sha256>[0-9a-fA-F]{64})(?::(?P<rights>[a-z, ]+))?\Z")

_KEY_HEADERS: Final = ("x-api-key", "api-key", "x-clickhouse-key")
"""Headers that hold a token and nothing else: of OTLP clients that can set one header only, and of ClickHouse's."""
_NO_TOKEN: Final = hashlib.sha256(b"").hexdigest()

Header = Callable[[str], str | None]
"""Gives the value of a request header by its lower-case name, None if the request has none."""


class Right(StrEnum):
    """What a token allows."""

    INGEST = "ingest"
    READ = "read"
    WRITE = "write"


_DEFAULT_RIGHTS: Final = frozenset({Right.INGEST, Right.READ})


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens that are known, by the SHA-256 of their text. The text itself is nowhere stored.

    Attributes:
        rights: what each allows.
        names: what each is called.
    """

    rights: Mapping[str, frozenset[Right]]
    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Tokens:
        """Read a token file: one ``name:sha256-of-token[:rights]`` a line; blank lines and lines that begin with # are left out.

        Raises:
            ConfigError: the file can't be read, or a line is not of that form; names the line, never its text.
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
                raise ConfigError(f"--token-file {path}, line {number}: {min(unknown)!r} is no right; rights are ingest, read, write")
            if found["sha256"].lower() == _NO_TOKEN:
                raise ConfigError(f"--token-file {path}, line {number}: this is the hash of an empty token; make one first")
            rights[found["sha256"].lower()] = frozenset(map(Right, named)) or _DEFAULT_RIGHTS
            names[found["sha256"].lower()] = found["name"]
        return cls(rights, names)

    def require(self, right: Right, header: Header) -> str:
        """Let a request pass that carries a token with this right.

        Returns:
            The token's name.

        Raises:
            UnauthenticatedError: it carries none that is known.
            PermissionDeniedError: its token does not allow this.
        """
        token = _token(header)
        digest = hashlib.sha256(token).hexdigest() if token is not None else ""
        allowed = self.rights.get(digest)
        if allowed is None:
            raise UnauthenticatedError("send a token of this server's token file: Authorization: Bearer TOKEN, or X-API-Key: TOKEN")
        if right not in allowed:
            raise PermissionDeniedError(f"the token does not allow to {right}: its line in the token file needs the right {right.value!r}")
        return self.names.get(digest, "")


class TokenFile:
    """The tokens of a file as they are now; calling it gives them, None where no file was named.

    Args:
        path: the token file; None lets everybody in.

    Raises:
        ConfigError: as ``Tokens.read``.
    """

    def __init__(self, path: Path | None) -> None:
        # Absolute, since the process may change its working directory before the file is read again.
        self._path = None if path is None else path.absolute()
        self._tokens = None if path is None else Tokens.read(path)

    def __call__(self) -> Tokens | None:
        """The tokens that hold now."""
        return self._tokens

    def reload(self) -> None:
        """Read the file again; one with a mistake in it changes nothing."""
        if self._path is None:
            return
        try:
            self._tokens = Tokens.read(self._path)
        except ConfigError as error:
            _log.error("the token file was not reloaded, the former tokens hold: %s", error)
        else:
            _log.info("token file read again: %d tokens in %s", len(self._tokens.rights), self._path)

    def holder(self, right: Right) -> Callable[[Mapping[str, str]], str | None]:
        """A function that gives the name of the token that a request with these headers (lower-case names) carries; None if it lacks the right."""

        def named(headers: Mapping[str, str]) -> str | None:
            try:
                return "" if self._tokens is None else self._tokens.require(right, headers.get)
            except ExportError:
                return None

        return named


def _token(header: Header) -> bytes | None:
    """The token as ``Authorization: Bearer``, as the password of ``Authorization: Basic``, or in one of the key headers."""
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
