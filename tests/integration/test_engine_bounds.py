"""The embedded engine takes no more than it is given, and keeps no logs of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import clickhouse_connect
import pytest
from tests.support.serve import Serve

from spanhouse.exporter.address import ConfigError
from spanhouse.exporter.serve.config import ServeConfig
from spanhouse.schema.address.dsn import parse_store
from spanhouse.schema.address.embedded import Bounds

# In a process of its own, since one has one engine.
_PROGRAM = """
import json, os, sys
from pathlib import Path

import clickhouse_connect
from clickhouse_connect.driver.exceptions import DatabaseError

from spanhouse.schema.address.embedded import Bounds, client_arguments

client = clickhouse_connect.get_client(**client_arguments(Path(sys.argv[1]), "default", bounds=Bounds(memory_bytes=300 << 20, cache_bytes=64 << 20)))
try:
    client.query("SELECT length(groupArray(toString(number))) FROM numbers(100000000)")
    code = None
except DatabaseError as error:
    code = error.code
client.command("CREATE TABLE kept (n UInt64) ENGINE = MergeTree ORDER BY n")
client.command("INSERT INTO kept SELECT number FROM numbers(1000)")
print(json.dumps({
    "code": code,
    "kept": client.query("SELECT sum(n) FROM kept").first_row[0],
    "set": dict(client.query("SELECT name, value FROM system.server_settings WHERE changed").result_rows),
    "system": client.query("SELECT name FROM system.tables WHERE database = 'system' AND endsWith(engine, 'MergeTree')").result_rows,
    "allocator": os.environ["JE_MALLOC_CONF"],
}))
"""


def test_what_would_take_more_memory_than_the_engine_may_fails_alone_and_its_caches_and_system_tables_are_bounded(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM, str(tmp_path / "store")], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["code"] == 241
    assert found["kept"] == 499_500
    assert found["set"]["max_server_memory_usage"] == str(300 << 20)
    caches = ("mark_cache_size", "primary_index_cache_size", "index_mark_cache_size", "query_condition_cache_size")
    assert sum(int(found["set"][name]) for name in caches) == 64 << 20
    assert found["system"] == []
    assert found["allocator"] == "dirty_decay_ms:250"


def test_a_receive_process_does_not_load_the_engine() -> None:
    program = "import sys, spanhouse.exporter.serve.receive_worker; sys.exit('chdb' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("bounds", "option"),
    [
        (Bounds(memory_bytes=2**29), "--engine-memory-bytes"),
        (Bounds(cache_bytes=0), "--engine-cache-bytes"),
        (Bounds(memory_bytes=2**30, cache_bytes=2**30), "--engine-cache-bytes"),
    ],
)
def test_bounds_with_which_the_engine_could_not_work_are_refused(bounds: Bounds, option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        ServeConfig(store=parse_store("chdb:///somewhere/store"), engine=bounds).validate()


@pytest.mark.parametrize("query_memory_bytes", [2**26 - 1, 2**30 + 1], ids=["too little", "more than half"])
def test_memory_for_queries_that_leaves_too_little_for_something_is_refused(query_memory_bytes: int) -> None:
    with pytest.raises(ConfigError, match="--query-memory-bytes"):
        ServeConfig(store=parse_store("chdb:///somewhere/store"), query_memory_bytes=query_memory_bytes).validate()


def test_each_of_two_queries_begins_with_half_of_the_memory_for_queries(tmp_path: Path) -> None:
    with Serve(tmp_path, env={"SPANHOUSE_QUERY_MEMORY_BYTES": str(2**28)}) as serve, clickhouse_connect.get_client(dsn=serve.dsn) as client:
        assert client.query("SELECT getSetting('max_memory_usage')").result_rows == [(2**27,)]


def test_the_engines_threads_come_after_those_that_acknowledge(serve: Serve) -> None:
    clickhouse_connect.get_client(dsn=serve.dsn).close()  # has asked the engine something
    nice = {
        (thread / "comm").read_text().strip(): os.getpriority(os.PRIO_PROCESS, int(thread.name))
        for thread in Path(f"/proc/{serve.process.pid}/task").iterdir()
    }
    engines = ("ThreadPool", "BgSchPool", "MergeMutate")  # for queries and inserts, and for what goes on beside them
    assert {nice[name] for name in engines} == {min(os.getpriority(os.PRIO_PROCESS, serve.process.pid) + 10, 19)}
