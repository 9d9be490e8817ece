"""Cluster form of the tables: replicated on each shard, distributed over the shards by trace id.

SQL files are written for one server. Each of their statements is translated to statements with the same effect ``ON CLUSTER``:

* A table ``T`` becomes ``T_local``, replicated, and ``T``, Distributed over ``T_local``. Readers and writers use ``T``.
* Rows are distributed by a hash of the trace id: so a whole trace, with everything derived from it, is on one shard.
* A small table that every shard needs as a whole, such as the ledger, is replicated on every server.
* A materialized view is made on each shard, between local tables. The view that decodes OTLP runs on the server that received the request, and
  writes into the Distributed ``otel_traces``.
* The view ``traces`` becomes ``traces_local``, a complete answer for the traces of its shard, and ``traces``, Distributed over it.

ClickHouse fills in ``{uuid}``; ``{shard}`` and ``{replica}`` are macros of each server.
"""

from __future__ import annotations

import re
from typing import Final

SHARDING_KEY: Final = "cityHash64(TraceId)"
"""SQL of a row's shard: the remainder of this hash by the sum of the shards' weights."""

_COMMENTS: Final = re.compile(r"\A(?:\s*--[^\n]*\n)+")
_TABLE: Final = re.compile(
    r"CREATE TABLE IF NOT EXISTS (?P<name>\w+)\n(?P<columns>\(\n.*\n\))\nENGINE = (?P<engine>\w+)(?:\((?P<arguments>[^)]*)\))?(?P<rest>.*?)"
    r"(?P<comment>\nCOMMENT '(?:[^']|'')*')?\Z",
    re.DOTALL,
)
_FEED: Final = re.compile(r"CREATE MATERIALIZED VIEW IF NOT EXISTS (?P<name>\w+) TO (?P<target>\w+) AS\n(?P<select>.*)\Z", re.DOTALL)
_VIEW: Final = re.compile(
    r"CREATE (?P<how>VIEW IF NOT EXISTS|OR REPLACE VIEW) (?P<name>\w+)(?P<columns>\n\(\n.*?\n\)\n| )AS\b(?P<select>.*?)"
    r"(?P<comment>\nCOMMENT '(?:[^']|'')*')?\Z",
    re.DOTALL,
)
_MODIFY_QUERY: Final = re.compile(r"ALTER TABLE (?P<name>\w+) MODIFY QUERY\n(?P<select>.*)\Z", re.DOTALL)
_ALTER: Final = re.compile(r"ALTER TABLE (?P<name>\w+)\s+(?P<change>.*)\Z", re.DOTALL)
_DROP: Final = re.compile(r"DROP (?P<kind>VIEW|TABLE) IF EXISTS (?P<name>\w+)\Z")
_SOURCE: Final = re.compile(r"\bFROM (otel_traces|spanhouse_trace_rows)\b")
_REPEATS: Final = re.compile(r"\bnon_replicated_deduplication_window = \d+")

_PER_TRACE: Final = "traces"
"""View that is answered shard by shard, since a trace is on one shard."""
_EVERYWHERE: Final = frozenset({"spanhouse_arrivals", "spanhouse_turns", "spanhouse_prices"})
"""Tables that each shard needs as a whole: a shard compares its own rows with them or looks them up, and turns hold for all shards."""
_PARTS: Final = "spanhouse_trace_parts"
_PARTS_KEPT: Final = "TTL toDateTime(Received) + INTERVAL 3 DAY\nSETTINGS\n    ttl_only_drop_parts = 1,"
"""Partitions can't be dropped through a Distributed table: so parts expire by age, and traces not settled by then are remade."""
_REQUESTS: Final = "otlp_requests"
_REMEMBERED: Final = "replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800"


def on_cluster(statement: str, cluster: str) -> tuple[str, ...]:
    """Translate a statement of an SQL file, written for one server, to the statements for a cluster, in their order.

    Args:
        statement: statement as ``migrations.load`` returns it.
        cluster: name of the cluster in the servers' configuration.

    Raises:
        ValueError: the form of the statement is unknown (a mistake in the package, not of the user).
    """
    text = _COMMENTS.sub("", statement)
    where = f"ON CLUSTER {_quoted(cluster)}"
    if found := _TABLE.match(text):
        return _table(found, where, cluster)
    if found := _FEED.match(text):
        target = found["target"] if f"FROM {_REQUESTS}" in found["select"] else f"{found['target']}_local"
        return (f"CREATE MATERIALIZED VIEW IF NOT EXISTS {found['name']} {where} TO {target} AS\n{_local(found['select'])}",)
    if found := _VIEW.match(text):
        return _view(found, where, cluster)
    if found := _MODIFY_QUERY.match(text):
        return (f"ALTER TABLE {found['name']} {where} MODIFY QUERY\n{_local(found['select'])}",)
    if found := _ALTER.match(text):
        local = f"ALTER TABLE {found['name']}_local {where} {found['change']}"
        # Of a Distributed table only columns can be altered; it has no rows.
        both = re.match(r"(ADD|MODIFY|DROP) COLUMN\b", found["change"])
        return (local, f"ALTER TABLE {found['name']} {where} {found['change']}") if both else (local,)
    if found := _DROP.match(text):
        if found["kind"] == "VIEW":
            return (f"DROP VIEW IF EXISTS {found['name']} {where} SYNC",)
        return f"DROP TABLE IF EXISTS {found['name']} {where} SYNC", f"DROP TABLE IF EXISTS {found['name']}_local {where} SYNC"
    raise ValueError(f"a migration has a statement that has no form for clusters: {text[:100]}")


def _table(found: re.Match[str], where: str, cluster: str) -> tuple[str, ...]:
    if found["engine"] == "Null":
        return (f"CREATE TABLE IF NOT EXISTS {found['name']} {where}\n{found['columns']}\nENGINE = Null{found['comment'] or ''}",)
    if found["name"] in _EVERYWHERE:
        return (on_every_server(found[0], cluster),)
    rest = _REPEATS.sub(_REMEMBERED, found["rest"])
    if found["name"] == _PARTS:
        rest = rest.replace("SETTINGS", _PARTS_KEPT, 1)
    local = (
        f"CREATE TABLE IF NOT EXISTS {found['name']}_local {where}\n{found['columns']}\n"
        f"ENGINE = {_replicated(found['engine'], found['arguments'])}{rest}{found['comment'] or ''}"
    )
    key = SHARDING_KEY if "TraceId" in found["columns"] else "rand()"
    return local, _distributed(found["name"], where, cluster, key, found["comment"])


def _view(found: re.Match[str], where: str, cluster: str) -> tuple[str, ...]:
    if found["name"] != _PER_TRACE:
        return (f"CREATE {found['how']} {found['name']} {where}{found['columns']}AS{found['select']}{found['comment'] or ''}",)
    local = f"CREATE {found['how']} {found['name']}_local {where}{found['columns']}AS{_local(found['select'])}{found['comment'] or ''}"
    again = () if found["how"].startswith("VIEW") else (f"DROP TABLE IF EXISTS {found['name']} {where} SYNC",)
    return local, *again, _distributed(found["name"], where, cluster, SHARDING_KEY, found["comment"])


def on_every_server(statement: str, cluster: str) -> str:
    """Return the CREATE statement of a small table that is replicated on every server of the cluster, on all shards."""
    found = _TABLE.match(statement)
    if found is None:
        raise ValueError(f"not a table: {statement[:100]}")
    engine = f"Replicated{found['engine']}('/clickhouse/tables/{{uuid}}/all', '{{shard}}-{{replica}}')"
    rest = f"{_REPEATS.sub(_REMEMBERED, found['rest'])}{found['comment'] or ''}"
    return f"CREATE TABLE IF NOT EXISTS {found['name']} ON CLUSTER {_quoted(cluster)}\n{found['columns']}\nENGINE = {engine}{rest}"


def _replicated(engine: str, arguments: str | None) -> str:
    """Return the replicated kind of an engine of the MergeTree family."""
    rest = f", {arguments}" if arguments else ""
    return f"Replicated{engine}('/clickhouse/tables/{{uuid}}/{{shard}}', '{{replica}}'{rest})"


def _distributed(name: str, where: str, cluster: str, key: str, comment: str | None) -> str:
    engine = f"Distributed({_quoted(cluster)}, currentDatabase(), {_quoted(name + '_local')}, {key})"
    return f"CREATE TABLE IF NOT EXISTS {name} {where} AS {name}_local\nENGINE = {engine}{comment or ''}"


def _local(select: str) -> str:
    return _SOURCE.sub(r"FROM \1_local", select)


def _quoted(name: str) -> str:
    return "'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"
