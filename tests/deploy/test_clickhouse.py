"""The configuration of ClickHouse in deploy/, as the real engine reads it: the cluster, and users who may do their work and nothing more."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spanhouse.schema.tables import migrations

CLICKHOUSE = Path(__file__).parents[2] / "deploy/clickhouse"
REFUSED = "refused: 497"

Ask = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Statements as a user, on one store with all tables; what each gives."""
    store = tmp_path_factory.mktemp("configured")

    def ask_as(user: str, *statements: str) -> list[Any]:
        command = [sys.executable, "-m", "tests.deploy.clickhouse_as", user, str(store / "store")]
        done = subprocess.run(command, input=json.dumps(statements), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        answers: list[Any] = json.loads(done.stdout)
        return answers

    ask_as("default", "CREATE DATABASE spanhouse")
    assert ask_as("spanhouse_migrate", "MIGRATE") == [[migrations.load().newest.id]]
    return ask_as


def test_the_cluster_has_two_shards_of_two_replicas_and_each_server_knows_its_place(ask: Ask) -> None:
    hosts, macros = ask(
        "default",
        "SELECT shard_num, replica_num, host_name, internal_replication FROM system.clusters WHERE cluster = 'main' ORDER BY ALL",
        "SELECT macro, substitution FROM system.macros ORDER BY ALL",
    )
    assert hosts == [[str(shard), str(replica), f"clickhouse-{shard}-{replica}", "1"] for shard in (1, 2) for replica in (1, 2)]
    assert macros == [["cluster", "main"], ["replica", "clickhouse-2-1"], ["shard", "2"]]


def test_the_users_are_known_by_a_hash_of_their_password(ask: Ask) -> None:
    (users,) = ask("default", "SELECT name, auth_type, default_roles_all FROM system.users WHERE startsWith(name, 'spanhouse') ORDER BY name")
    assert [name for name, *_ in users] == ["spanhouse_ingest", "spanhouse_migrate", "spanhouse_read"]
    assert all("sha256_password" in auth for _, auth, _ in users)


def test_the_user_of_the_migration_may_not_make_users_nor_touch_other_databases(ask: Ask) -> None:
    assert (
        ask("spanhouse_migrate", "CREATE USER other", "CREATE DATABASE other", "SELECT * FROM url('http://127.0.0.1:1/', CSV, 'a Int')")
        == [REFUSED] * 3
    )


def test_the_user_of_the_receiver_inserts_asks_again_and_changes_no_table(ask: Ask) -> None:
    inserted, again, *refused = ask(
        "spanhouse_ingest",
        "INSERT",
        "INSERT",
        "DROP TABLE otel_traces",
        "ALTER TABLE otel_traces DELETE WHERE 1",
        "TRUNCATE TABLE otel_traces",
        "CREATE TABLE other (a Int) ENGINE = Memory",
    )
    assert [inserted, again] == [["None", "None"]] * 2
    assert refused == [REFUSED] * 4
    assert ask("spanhouse_read", "SELECT uniq(TraceId), count() FROM otel_traces", "SELECT count() FROM traces") == [[["2", "6"]], [["2"]]]


def test_the_user_of_readers_reads_within_limits_that_a_query_cannot_lift(ask: Ask) -> None:
    read, *refused = ask(
        "spanhouse_read",
        "SELECT getSetting('max_execution_time') SETTINGS max_execution_time = 3",
        "SELECT 1 SETTINGS max_execution_time = 31",
        "SELECT 1 SETTINGS max_execution_time = 0",
        "SELECT 1 SETTINGS max_memory_usage = 0",
        "INSERT INTO trace_tags (TraceId) VALUES ('0')",
        "SELECT * FROM file('/etc/passwd', LineAsString)",
        "SELECT * FROM remote('127.0.0.1', system.one)",
        "SELECT * FROM system.users",
    )
    assert read == [["3.0"]]
    assert [answer.removeprefix("refused: ") for answer in refused] == ["452", "452", "452", "497", "497", "497", "497"]


def test_keepers_and_servers_name_one_another_alike() -> None:
    cluster = ET.parse(CLICKHOUSE / "config.d/spanhouse-cluster.xml").getroot()  # noqa: S314 our own file
    keeper = ET.parse(CLICKHOUSE / "keeper/keeper_config.xml").getroot()  # noqa: S314 our own file
    asked = {(node.findtext("host"), node.findtext("port")) for node in cluster.findall("zookeeper/node")}
    port = keeper.findtext("keeper_server/tcp_port")
    assert asked == {(server.findtext("hostname"), port) for server in keeper.findall("keeper_server/raft_configuration/server")}
    assert len(asked) == 3
