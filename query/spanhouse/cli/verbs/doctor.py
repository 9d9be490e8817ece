"""``spanhouse doctor``: the one health check, with a remedy for each problem. It works in every install, and names the packages that are missing."""

from __future__ import annotations

import platform
import re
import socket
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Final

from spanhouse.cli.errors import CommandError, Exit, explain_failure
from spanhouse.cli.text import one_line
from spanhouse.cli.verb_table.serve import SERVE
from spanhouse.exporter.spool import file_names
from spanhouse.schema.address import serving
from spanhouse.schema.address.dsn import Store, StoreError, default_spool, default_store, parse_store
from spanhouse.schema.address.serving import Serving
from spanhouse.schema.conventions import FIELDS, SCRUBBED
from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.driver import Execute, MigrationError
from spanhouse.schema.vocabulary import SESSION, TRACE_METADATA_PREFIX, TRACE_USER

_CONNECT_SECONDS: Final = 2.0
_REQUIREMENT: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:.*extra == ['\"](?P<extra>[^'\"]+)['\"])?")
_LISTENERS: Final = ("grpc", "http", "clickhouse-http", "console")
_NEWEST_SPANS: Final = 100_000
"""Number of the newest spans that are searched for values that a scrubber took."""
_SCRUBBED_KEYS: Final = (
    *FIELDS["session"],
    *FIELDS["user"],
    *(f"{TRACE_METADATA_PREFIX}{key}" for key in (SESSION, TRACE_USER)),
)
OFF: Final = "off"
"""Address of a disabled listener."""


class Level(StrEnum):
    """Severity of a finding."""

    OK = "ok"
    WARN = "warn"
    """Something is missing that may not be wanted here."""
    FAIL = "fail"
    """Something does not work as it should."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Line of the result."""

    level: Level
    subject: str
    text: str


def run(arguments: Namespace) -> int:
    """Print all findings; return 3 if one of them is a failure."""
    try:
        store = parse_store(arguments.store) if arguments.store else default_store()
    except StoreError as error:
        raise CommandError(str(error)) from None
    worst = Exit.DONE
    for finding in _findings(store, arguments.spool or default_spool(store), given=bool(arguments.store)):
        print(f"{finding.level:<4}  {finding.subject:<8}  {one_line(finding.text)}", flush=True)
        if finding.level is Level.FAIL:
            worst = Exit.STORE
    return worst


def _findings(store: Store, spool: Path, *, given: bool) -> Iterator[Finding]:
    yield Finding(Level.OK, "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield from _packages()
    server = _server(store, given=given)
    yield _running(server)
    if server is None:
        yield from _ports()
        yield from _tables(store, store, store)
    elif server.clickhouse_http == OFF:
        yield Finding(Level.WARN, "store", f"{server.store}: not looked at, the server that owns it answers no queries (clickhouse-http is off)")
    else:
        yield from _tables(parse_store(f"{server.clickhouse_url}/{store.database}"), store, parse_store(server.store))
    yield from _spool(spool, running=server is not None)


def _packages() -> Iterator[Finding]:
    """Yield one line for the core and one for each extra."""
    wanted: dict[str, list[str]] = {}
    for requirement in metadata.requires("spanhouse") or ():
        if (found := _REQUIREMENT.match(requirement)) and found["name"] != "spanhouse":
            wanted.setdefault(found["extra"] or "", []).append(found["name"])
    told: set[str] = set()
    for extra, names in sorted(wanted.items(), key=lambda item: (bool(item[0]), len(item[1]))):  # an extra comes before those that hold it
        versions = {name: _version(name) for name in names if name not in told}
        told.update(names)
        title = f"[{extra}] " if extra else f"spanhouse {metadata.version('spanhouse')}, "
        if missing := [name for name, version in versions.items() if version is None]:
            what = f"spanhouse[{extra}]" if extra else "spanhouse"
            yield Finding(Level.WARN if extra else Level.FAIL, "packages", f"{title}{', '.join(missing)} missing: pip install '{what}'")
        else:
            yield Finding(Level.OK, "packages", title + ", ".join(f"{name} {version}" for name, version in versions.items()))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _server(store: Store, *, given: bool) -> Serving | None:
    """Return the living server that owns an embedded store; if no store was given, the one that read verbs find; None for a ClickHouse server."""
    if store.directory is None:
        return None
    for file in [serving.beside_store(store.directory)] if given else [serving.in_data_dir(), serving.beside_store(store.directory)]:
        server = serving.read_serving(file)
        if server is not None and server.alive() and (not given or server.store == str(store)):
            return server
    return None


def _running(server: Serving | None) -> Finding:
    if server is None:
        return Finding(Level.WARN, "server", "none is running on this machine for this user: `spanhouse serve` starts one")
    at = {"grpc": server.grpc, "http": server.http, "clickhouse-http": server.clickhouse_http, "console": server.console}
    where = ", ".join([f"process {server.pid}", f"store {server.store}", *(f"{name} {address}" for name, address in at.items())])
    for address in at.values():
        if address != OFF and not _answers(address):
            return Finding(Level.FAIL, "server", f"{address} does not answer ({where}): stop the process and start `spanhouse serve` again")
    return Finding(Level.OK, "server", where)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def _spool(spool: Path, *, running: bool) -> Iterator[Finding]:
    """Tell how much waits in the spool, and which requests were put aside there."""
    try:
        waiting, letters, damaged = file_names.sealed(spool), file_names.dead_letters(spool), file_names.damaged(spool)
        size = sum(path.stat().st_size for path in waiting if path.exists())
    except OSError as error:
        yield Finding(Level.WARN, "spool", f"{spool}: not looked at: {error.strerror}")
        return
    if waiting and not running:
        yield Finding(Level.WARN, "spool", f"{spool}: {size} bytes acknowledged and not yet stored: start `spanhouse serve` with the same store")
    else:
        yield Finding(Level.OK, "spool", f"{spool}: {size} bytes wait for the store")
    if letters:
        aside = f"{len(letters)} requests that the store could not read are in {letters[0].parent}: `spanhouse store replay` after an upgrade"
        yield Finding(Level.WARN, "spool", aside)
    if damaged:
        yield Finding(Level.WARN, "spool", f"{len(damaged)} pieces that were damaged on disk are in {damaged[0].parent}: look at the disk")


def _ports() -> Iterator[Finding]:
    """Tell whether the default ports of `serve` are free."""
    for option in SERVE.options:
        if option.name in _LISTENERS:
            address = str(option.default)
            if _answers(address):
                other = f"{address} is taken by another program: stop it, or start `spanhouse serve --{option.name} HOST:PORT` with another port"
                yield Finding(Level.WARN, "ports", other)
            else:
                yield Finding(Level.OK, "ports", f"{address} is free for --{option.name}")


def _tables(reached: Store, store: Store, owned: Store) -> Iterator[Finding]:
    """Tell the state of the tables, the keys that a scrubber took, and the problems in the data.

    Args:
        reached: address at which to ask.
        store: store of which the findings tell.
        owned: the same store at the address of its owner.
    """
    try:
        from spanhouse.cli.store_access import tables
    except ImportError as error:
        yield Finding(Level.WARN, "store", f"{store}: not looked at, {error.name} is missing: pip install 'spanhouse[query]'")
        return
    try:
        with tables(reached, create=False) as execute:
            pending = None if execute is None else migrations.plan(execute)
            scrubbed = _scrubbed(execute) if execute is not None and not pending else []
    except ImportError:
        yield Finding(Level.WARN, "store", f"{store}: not looked at, chdb-core is missing: pip install 'spanhouse[server]'")
    except (CommandError, MigrationError) as error:
        yield Finding(Level.FAIL, "store", str(error) if isinstance(error, CommandError) else f"{store}: {error}")
    else:
        yield _state(pending, store)
        yield from scrubbed
        if pending == ():
            yield from _integrity(owned)


def _integrity(store: Store) -> Iterator[Finding]:
    """Tell the problems that `spanhouse store check` finds: a server checks the store that it has open."""
    from spanhouse.cli.store_access import run_maintenance
    from spanhouse.schema.maintenance import actions

    try:
        with run_maintenance(store.dsn, "check", actions.check) as events:
            for event in events:
                if "problem" in event:
                    yield Finding(Level.FAIL, "check", f"{store}: {event['problem']}")
                elif not event["problems"]:
                    yield Finding(Level.OK, "check", f"{store}: every part is whole, and each trace says what its spans do")
    except Exception as error:
        if (failure := explain_failure(error)) is None:
            raise
        yield Finding(Level.WARN, "check", f"{store}: not checked: {failure[1]}")


def _scrubbed(execute: Execute) -> list[Finding]:
    """Return a finding for each key of sessions and users whose values a scrubber took from the newest spans."""
    keys = f"mapFilter((k, v) -> k IN ({', '.join(map(repr, _SCRUBBED_KEYS))}) AND startsWith(v, '{SCRUBBED}'), SpanAttributes)"
    newest = f"SELECT arrayJoin(mapKeys({keys})) AS Key FROM (SELECT SpanAttributes FROM otel_traces ORDER BY Timestamp DESC LIMIT {_NEWEST_SPANS})"  # noqa: S608  our own words
    rows = execute(f"SELECT Key, count() FROM ({newest}) GROUP BY Key ORDER BY Key")  # noqa: S608  our own words
    return [
        Finding(
            Level.WARN,
            "spans",
            f"a scrubber took {key} of {count:,} of the newest {_NEWEST_SPANS:,} spans: let it through, in Logfire by "
            f"logfire.configure(scrubbing=logfire.ScrubbingOptions(callback=lambda match: match.value if match.path[-1] == {key!r} else None))",
        )
        for key, count in rows
    ]


def _state(pending: Sequence[migrations.Migration] | None, store: Store) -> Finding:
    if pending is None or migrations.load().baseline in pending:
        makes = "`spanhouse serve` makes it" if store.embedded else "`spanhouse migrate --store DSN` makes them"
        return Finding(Level.WARN, "store", f"{store}: no tables yet; {makes}")
    if pending:
        todo = "`spanhouse serve` applies them when it starts" if store.embedded else "run `spanhouse migrate --store DSN`"
        return Finding(Level.FAIL, "store", f"{store}: {', '.join(map(str, pending))} not applied; {todo}")
    return Finding(Level.OK, "store", f"{store}: tables are up to date, {migrations.load().newest}")
