"""The same tables on a cluster: replicated on each shard, spread over the shards by trace id.

The migration files are written for one server. Here each of their statements becomes those that do the same ``ON CLUSTER``:

* A table ``T`` becomes ``T_local``, replicated, and ``T``, Distributed over it. Readers and writers use ``T`` and need not know.
* Where rows go is decided by a hash of the trace id alone, so that all of a trace is on one shard, and what is derived from it as well.
* A materialized view stands on each shard, between local tables. The one that decodes OTLP stands where the request came in, and writes
  the Distributed ``otel_traces``.
* The view ``traces``, and those that it is made of, become ``traces_local``, a whole answer for the traces of its shard, and ``traces``,
  Distributed over it.

ClickHouse fills in ``{uuid}``; ``{shard}`` and ``{replica}`` are macros of each server.
"""

from __future__ import annotations

import re
from typing import Final

SHARDING_KEY: Final = "cityHash64(TraceId)"
"""Decides the shard of a row: its remainder by the sum of the shards' weights."""

_COMMENTS: Final = re.compile(r"\A(?:\s*--[^\n]*\n)+")
_TABLE: Final = re.compile(
    r"CREATE TABLE IF NOT EXISTS (?P<name>\w+)\n(?P<columns>\(\n.*\n\))\nENGINE = (?P<engine>\w+)(?:\((?P<arguments>[^)]*)\))?(?P<rest>.*)\Z",
    re.DOTALL,
)
_FEED: Final = re.compile(r"CREATE MATERIALIZED VIEW IF NOT EXISTS (?P<name>\w+) TO (?P<target>\w+) AS\n(?P<select>.*)\Z", re.DOTALL)
_VIEW: Final = re.compile(r"CREATE (?P<how>VIEW IF NOT EXISTS|OR REPLACE VIEW) (?P<name>\w+) AS\n(?P<select>.*)\Z", re.DOTALL)
_MODIFY_QUERY: Final = re.compile(r"ALTER TABLE (?P<name>\w+) MODIFY QUERY\n(?P<select>.*)\Z", re.DOTALL)
_ALTER: Final = re.compile(r"ALTER TABLE (?P<name>\w+)\s+(?P<what>.*)\Z", re.DOTALL)
_DROP: Final = re.compile(r"DROP (?P<kind>VIEW|TABLE) IF EXISTS (?P<name>\w+)(?P<settings> SETTINGS \w+ = \w+)?\Z")
_SWAP: Final = re.compile(r"EXCHANGE TABLES (?P<one>\w+) AND (?P<other>\w+)\Z")
_EMPTY: Final = re.compile(r"TRUNCATE TABLE (?P<name>\w+)\Z")
_SOURCE: Final = re.compile(r"\bFROM (otel_traces|traces_parts|trace_carriers|trace_tags|trace_repeats|trace_rows|traces_merged)\b")
_NAMED: Final = re.compile(r"\b(name|table) = '(\w+)'")
_REPEATS: Final = re.compile(r"\bnon_replicated_deduplication_window = \d+")

_KEYS: Final = "trace_repeats"
_PER_TRACE: Final = frozenset({_KEYS, "trace_rows", "traces_merged", "traces"})
"""Views that can be answered shard by shard, since a trace is on one."""
_REQUESTS: Final = "otlp_requests"
_REMEMBERED: Final = "replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800"


def on_cluster(statement: str, cluster: str) -> tuple[str, ...]:
    """The statements that do on a cluster what a statement of a migration does on one server, in their order.

    Args:
        statement: as ``migrations.load`` gives it.
        cluster: the cluster's name in the servers' configuration.

    Raises:
        ValueError: a form of statement that is not known here (a mistake in the package, not of the user).
    """
    text = _COMMENTS.sub("", statement)
    where = f"ON CLUSTER {_quoted(cluster)}"
    if found := _TABLE.match(text):
        if found["engine"] == "Null":
            return (f"CREATE TABLE IF NOT EXISTS {found['name']} {where}\n{found['columns']}\nENGINE = Null",)
        local = (
            f"CREATE TABLE IF NOT EXISTS {found['name']}_local {where}\n{found['columns']}\n"
            f"ENGINE = {replicated(found['engine'], found['arguments'])}{_REPEATS.sub(_REMEMBERED, found['rest'])}"
        )
        return local, _distributed(found["name"], where, cluster, "TraceId" in found["columns"])
    if found := _FEED.match(text):
        target = found["target"] if f"FROM {_REQUESTS}" in found["select"] else f"{found['target']}_local"
        return (f"CREATE MATERIALIZED VIEW IF NOT EXISTS {found['name']} {where} TO {target} AS\n{_local(found['select'])}",)
    if found := _VIEW.match(text):
        if found["name"] not in _PER_TRACE:
            return (f"CREATE {found['how']} {found['name']} {where} AS\n{found['select']}",)
        local = f"CREATE {found['how']} {found['name']}_local {where} AS\n{_local(found['select'])}"
        again = () if found["how"].startswith("VIEW") else (f"DROP TABLE IF EXISTS {found['name']} {where} SYNC",)
        return local, *again, _distributed(found["name"], where, cluster, found["name"] != _KEYS)
    if found := _MODIFY_QUERY.match(text):
        return (f"ALTER TABLE {found['name']} {where} MODIFY QUERY\n{_local(found['select'])}",)
    if found := _ALTER.match(text):
        local = f"ALTER TABLE {found['name']}_local {where} {found['what']}"
        # A Distributed table has columns, too, and nothing else that an ALTER could be about; it has no rows.
        both = re.match(r"(ADD|MODIFY|DROP) COLUMN\b", found["what"])
        return (local, f"ALTER TABLE {found['name']} {where} {found['what']}") if both else (local,)
    if found := _DROP.match(text):
        name, rest = found["name"], f"{where} SYNC{found['settings'] or ''}"
        if name in _PER_TRACE:
            return f"DROP TABLE IF EXISTS {name} {rest}", f"DROP VIEW IF EXISTS {name}_local {rest}"
        if found["kind"] == "VIEW":
            return (f"DROP VIEW IF EXISTS {name} {rest}",)
        return f"DROP TABLE IF EXISTS {name} {rest}", f"DROP TABLE IF EXISTS {name}_local {rest}"
    if found := _SWAP.match(text):
        return (f"EXCHANGE TABLES {found['one']}_local AND {found['other']}_local {where}",)
    if found := _EMPTY.match(text):
        return (f"TRUNCATE TABLE {found['name']}_local {where}",)
    if text.startswith("INSERT INTO"):
        # Rows move between tables of one server. No cluster is older than the migrations that do so: there is nothing to move.
        return ()
    raise ValueError(f"a migration has a statement that has no form for clusters: {text[:100]}")


def of_local_tables(query: str) -> str:
    """A question about tables by their names, asked about those that hold the rows."""
    return _NAMED.sub(r"\1 = '\2_local'", query)


def on_every_server(statement: str, cluster: str) -> str:
    """A small table that every server of the cluster holds whole, whatever its shard: the ledger and the like."""
    found = _TABLE.match(statement)
    if found is None:
        raise ValueError(f"not a table: {statement[:100]}")
    engine = f"Replicated{found['engine']}('/clickhouse/tables/{{uuid}}/all', '{{shard}}-{{replica}}')"
    return f"CREATE TABLE IF NOT EXISTS {found['name']} ON CLUSTER {_quoted(cluster)}\n{found['columns']}\nENGINE = {engine}{found['rest']}"


def replicated(engine: str, arguments: str | None) -> str:
    """The replicated kind of an engine of the MergeTree family."""
    rest = f", {arguments}" if arguments else ""
    return f"Replicated{engine}('/clickhouse/tables/{{uuid}}/{{shard}}', '{{replica}}'{rest})"


def _distributed(name: str, where: str, cluster: str, sharded: bool) -> str:
    key = SHARDING_KEY if sharded else "rand()"
    engine = f"Distributed({_quoted(cluster)}, currentDatabase(), {_quoted(name + '_local')}, {key})"
    return f"CREATE TABLE IF NOT EXISTS {name} {where} AS {name}_local\nENGINE = {engine}"


def _local(select: str) -> str:
    return _SOURCE.sub(r"FROM \1_local", select)


def _quoted(name: str) -> str:
    return "'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"
