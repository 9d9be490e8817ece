"""Tables of a cluster, as far as they can be run without Keeper and without a second server behind ClickHouse's native protocol.

On one server that is a cluster of one shard, the Distributed tables work for real; ``ON CLUSTER`` and the replicated engines are taken out,
since both need Keeper. Several shards are several engines side by side, with the rows dealt out between them by the sharding key; each
settles its own, where a cluster settles through Distributed tables.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from google.protobuf.message import Message
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.otlp import new_trace_id, request, span
from tests.support.store import TestStore

from spanhouse.query import TraceClient
from spanhouse.schema.maintenance.integrity import problems
from spanhouse.schema.maintenance.rebuild import remake_all
from spanhouse.schema.settle import remake, settle
from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.cluster import SHARDING_KEY
from spanhouse.schema.tables.driver import Execute, MigrationError

CONFIG = """<clickhouse><tcp_port>9000</tcp_port><remote_servers><one><shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard></one>
</remote_servers></clickhouse>"""
SHARDS = 2
START = 1_700_000_000 * 10**9


def connect(server: ClickHouseServer) -> Client:
    admin = clickhouse_connect.get_client(dsn=f"http://127.0.0.1:{server.port}")
    admin.command("CREATE DATABASE IF NOT EXISTS spanhouse")
    admin.close()
    return clickhouse_connect.get_client(dsn=server.dsn, autogenerate_session_id=False)


def without_keeper(client: Client) -> Any:
    """Runs statements for a cluster on a server that has no Keeper."""

    def execute(sql: str, parameters: Any = None) -> Sequence[Sequence[Any]]:
        if sql.startswith("SELECT engine"):
            return [["ReplicatedMergeTree"]]
        sql = sql.replace("ON CLUSTER 'one'", "").replace("replicated_deduplication_window = 10000", "non_replicated_deduplication_window = 1000")
        sql = sql.replace(", replicated_deduplication_window_seconds = 604800", "")
        sql = re.sub(r"Replicated(\w+)\('[^']*', '[^']*'(?:, )?([^)]*)\)", r"\1(\2)", sql)
        return client.query(sql, parameters=dict(parameters or {})).result_rows

    return execute


def executing(client: Client) -> Execute:
    """Runs statements on a server."""
    return lambda sql, parameters=None, /: client.query(sql, parameters=dict(parameters or {})).result_rows


def batches() -> list[Message]:
    resource = {"service.name": "s", "service.version": "2", "mlflow.modelId": "m-1"}
    made: list[Message] = []
    for number in range(3):
        root = span("root", trace_id=new_trace_id(), start_ns=START + number, attributes={"session.id": f"s{number}"})
        child = span("child", trace_id=root.trace_id, parent=root.span_id, start_ns=START + number + 10, error=number % 2 == 0)
        made.append(request([child, *(span("other", trace_id=new_trace_id(), start_ns=START + number) for _ in range(4))], resource=resource))
        made.append(request([root], resource=resource))
    return made


def token(batch: Message) -> dict[str, object]:
    return {**migrations.otlp_insert_settings(), "insert_deduplication_token": hashlib.sha256(batch.SerializeToString()).hexdigest()}


def rows(client: Client, sql: str) -> list[dict[str, Any]]:
    return list(client.query(sql).named_results())


TRACES = "SELECT * FROM traces ORDER BY TraceId"
ANSWERS: tuple[Callable[[TraceClient], Any], ...] = (
    lambda client: client.compare("version", service="s").to_dict(),
    lambda client: client.compare("resource.service.version", where="name = 'root'").to_dict(),
    lambda client: client.compare("resource.service.version", service="s", where="status = 'ERROR'").to_dict(),
    lambda client: client.count("status = 'ERROR' OR span.name = 'other'", service="s"),
    lambda client: sorted(trace.info.trace_id for trace in client.search_traces(filter_string="metadata.app_version = '2'", service="s")),
)


def test_a_cluster_of_one_shard_stores_what_one_server_does_and_a_repeated_batch_once(store: TestStore, tmp_path: Path) -> None:
    config = tmp_path / "config.xml"
    config.write_text(CONFIG)
    with ClickHouseServer(Path(f"{tmp_path / 'store'}?config-file={config}")) as server:
        client = connect(server)
        execute = without_keeper(client)
        assert migrations.apply(execute, cluster="one") == (migrations.load().baseline,)
        assert migrations.apply(execute, cluster="one") == ()
        for batch in batches():
            store.ingest(batch)
            for _ in range(2):
                client.raw_insert("otlp_requests", insert_block=batch.SerializeToString(), fmt="ProtobufSingle", settings=token(batch))
            settle.settle_all(execute)
        wanted = store.rows(TRACES)
        assert rows(client, TRACES) == wanted
        for table in ("otel_traces", "spanhouse_trace_parts"):
            assert client.command(f"SELECT count() FROM {table}_local") == store.client.command(f"SELECT count() FROM {table}")
        for query in ("SELECT * FROM metadata_keys ORDER BY Key", "SELECT * FROM logged_models", "SELECT count() AS n FROM otel_traces_trace_id_ts"):
            assert rows(client, query) == store.rows(query)
        with TraceClient(server.dsn) as of_cluster, TraceClient(store.dsn) as of_one:
            for answer in ANSWERS:
                assert answer(of_cluster) == answer(of_one)
        client.command("TRUNCATE TABLE spanhouse_trace_rows_local")
        assert len(list(problems(execute))) == 1
        assert [step.done for step in remake_all(execute, cluster="one")] == [1]
        assert rows(client, TRACES) == wanted
        settler = settle.Settler(execute)
        settler.sweep()
        remake.age(execute, quiet_seconds=0)
        assert rows(client, TRACES) == wanted
        assert list(problems(execute)) == []
        client.close()


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Client]]:
    servers = [ClickHouseServer(tmp_path_factory.mktemp(f"shard{number}") / "store") for number in range(SHARDS)]
    clients = [connect(server) for server in servers]
    for client in clients:
        migrations.apply(executing(client))
    yield clients
    for server, client in zip(servers, clients, strict=True):
        client.close()
        server.__exit__()


def test_several_shards_together_answer_as_one_engine_and_a_repeated_batch_is_stored_once(store: TestStore, shards: list[Client]) -> None:
    decoder = TestStore()
    everything = batches()
    for batch in [*everything, *everything[::-1]]:
        store.ingest(batch)
        decoder.client.command("TRUNCATE TABLE otel_traces")
        decoder.client.raw_insert(
            "otlp_requests",
            insert_block=batch.SerializeToString(),
            fmt="ProtobufSingle",
            settings=migrations.otlp_insert_settings() | {"insert_deduplicate": 0},
        )
        for number, shard in enumerate(shards):
            # What a Distributed table does with a block of rows: each shard gets its part, with the settings of the INSERT.
            part = decoder.client.raw_query(
                f"SELECT * FROM otel_traces WHERE {SHARDING_KEY} % {SHARDS} = {number} ORDER BY TraceId, SpanId", fmt="Native"
            )
            settings = {
                "insert_deduplication_token": token(batch)["insert_deduplication_token"],
                "deduplicate_blocks_in_dependent_materialized_views": 1,
            }
            if len(part) > 0:
                shard.raw_insert("otel_traces", insert_block=part, fmt="Native", settings={**settings, "insert_deduplicate": 1, "async_insert": 0})
            settle.settle_all(executing(shard))
    found = [{row["TraceId"]: row for row in rows(shard, TRACES)} for shard in shards]
    assert all(found)
    assert not set(found[0]) & set(found[1])
    assert sorted((row for shard in found for row in shard.values()), key=lambda row: str(row["TraceId"])) == store.rows(TRACES)
    spans = sum(int(str(shard.command("SELECT count() FROM otel_traces"))) for shard in shards)
    assert spans == store.client.command("SELECT count() FROM otel_traces") == 18
    decoder.close()


def test_tables_of_one_server_and_of_a_cluster_are_not_mixed_up(store: TestStore) -> None:
    with pytest.raises(MigrationError, match="leave out --cluster"):
        migrations.apply(lambda sql, parameters=None: [] if "ON CLUSTER" in sql else store.execute(sql, parameters), cluster="main")
    assert store.rows("SELECT count() AS n FROM system.tables WHERE database = currentDatabase() AND name LIKE '%_local'") == [{"n": 0}]
