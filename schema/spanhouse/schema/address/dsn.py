"""Store addresses: their DSN forms, and the default directories.

* ``chdb:///abs/dir[?database=NAME]``: an embedded store in that directory.
* ``http://user:password@host:8123/database`` or ``https://...``: a ClickHouse server.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

DEFAULT_DATABASE: Final = "default"
_DATABASE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class StoreError(ValueError):
    """An invalid store address, or a store that refuses the requested use. One line, with the remedy."""


@dataclass(frozen=True, slots=True)
class Store:
    """A parsed store DSN.

    Attributes:
        dsn: DSN as given, credentials included; never print it, use ``str(store)``.
        directory: directory of an embedded store; None for a server.
        database: database that holds the tables.
    """

    dsn: str
    directory: Path | None
    database: str

    @property
    def embedded(self) -> bool:
        """True if the engine runs inside the process that owns the directory."""
        return self.directory is not None

    @property
    def scheme(self) -> str:
        """Scheme of the DSN: ``chdb``, ``http`` or ``https``."""
        return urlsplit(self.dsn).scheme

    def __str__(self) -> str:
        return scrub(self.dsn)


def parse_store(dsn: str) -> Store:
    """Parse a store DSN.

    Raises:
        StoreError: the DSN has none of the forms in this module's docstring.
    """
    try:
        parts = urlsplit(dsn)
        _ = parts.scheme == "chdb" or parts.port
    except ValueError:  # the reason is not shown: it may contain a part of a password
        raise StoreError("the store's address is no URL: in a password every character but letters and digits is written as %XX") from None
    if parts.scheme == "chdb":
        options = parse_qs(parts.query)
        if parts.netloc or not parts.path.startswith("/") or parts.path == "/" or parts.fragment or options.keys() - {"database"}:
            raise StoreError(f"store {scrub(dsn)!r}: an embedded store is chdb:///absolute/directory[?database=NAME]")
        return Store(dsn, Path(unquote(parts.path)), _database(options.get("database", [DEFAULT_DATABASE])[-1], dsn))
    if parts.scheme in {"http", "https"} and parts.hostname:
        options = parse_qs(parts.query)
        name = options.get("database", [unquote(parts.path).strip("/") or DEFAULT_DATABASE])[-1]
        return Store(dsn, None, _database(name, dsn))
    raise StoreError(f"store {scrub(dsn)!r}: expected chdb:///absolute/directory or http(s)://user:password@host:8123/database")


def _database(name: str, dsn: str) -> str:
    if not _DATABASE_NAME.match(name):
        raise StoreError(f"store {scrub(dsn)!r}: {name!r} is not a database name (letters, digits, _)")
    return name


def scrub(url: str) -> str:
    """Mask the parts of a URL that may be secret: the password of its userinfo and the values of its query."""
    parts = urlsplit(url)
    netloc = parts.netloc
    if "@" in netloc:
        userinfo, _, host = netloc.rpartition("@")
        netloc = f"{userinfo.split(':')[0]}:***@{host}" if ":" in userinfo else f"{userinfo}@{host}"
    query = "&".join(item if item.startswith("database=") else item.split("=")[0] + "=***" for item in parts.query.split("&") if item)
    return f"{parts.scheme}://{netloc}{parts.path}" + (f"?{query}" if query else "")


def data_dir() -> Path:
    """Return Spanhouse's data directory: ``SPANHOUSE_DATA_DIR``, else the folder ``spanhouse`` in the user's data directory."""
    if chosen := os.environ.get("SPANHOUSE_DATA_DIR", "").strip():
        return Path(chosen).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "spanhouse"
    base = os.environ.get("XDG_DATA_HOME", "").strip()
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "share") / "spanhouse"


def default_spool(store: Store) -> Path:
    """Return the spool directory of a store: ``STORE-spool`` beside an embedded one, else ``spool`` in the data directory."""
    return data_dir() / "spool" if store.directory is None else store.directory.with_name(f"{store.directory.name}-spool")


def default_store() -> Store:
    """Return the default of ``--store``: the embedded store in the data directory, for ``serve`` and for the read verbs."""
    return parse_store(f"chdb://{data_dir() / 'store'}")
