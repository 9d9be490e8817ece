"""The command beside a running server: how it is found, and what is said when it is in the way."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.otlp import trace
from tests.support.serve import Serve

from spanhouse.schema.tables import migrations


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """A server that holds one trace."""
    with Serve(tmp_path_factory.mktemp("cli")) as serve:
        body = trace(name="received").SerializeToString()
        call = urllib.request.Request(f"http://{serve.http}/v1/traces", body, {"Content-Type": "application/x-protobuf"})
        with urllib.request.urlopen(call) as answer:  # noqa: S310
            assert answer.status == 200
        serve.drained()
        yield serve


def spanhouse(data_dir: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "SPANHOUSE_DATA_DIR": str(data_dir)}
    return subprocess.run([sys.executable, "-m", "spanhouse.cli", *words], capture_output=True, text=True, env=env, timeout=120)


def error(done: subprocess.CompletedProcess[str]) -> str:
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("spanhouse: ").rstrip("\n")


def test_read_verbs_find_the_running_server_by_themselves(running: Serve) -> None:
    (found,) = json.loads(spanhouse(running.data_dir, "search", "--format", "json").stdout)
    assert found["name"] == "received"
    assert "└─ child 1" in spanhouse(running.data_dir, "trace", found["trace_id"]).stdout
    assert spanhouse(running.data_dir, "values", "service.name", "--format", "csv").stdout == "value,traces\ntests,1\n"


def test_a_server_on_this_machine_is_reached_without_the_proxy_of_the_surroundings(running: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert spanhouse(running.data_dir, "search", "--fail-if-empty").returncode == 0


def test_a_store_that_a_server_owns_is_read_through_it(running: Serve, tmp_path: Path) -> None:
    assert spanhouse(tmp_path, "search", "--store", running.store, "--fail-if-empty").returncode == 0
    assert spanhouse(tmp_path, "search", "--store", running.dsn, "--fail-if-empty").returncode == 0


def test_sql_on_the_server_reads_and_refuses_to_write_in_one_line(running: Serve) -> None:
    assert spanhouse(running.data_dir, "sql", "SELECT Name FROM traces", "--format", "csv").stdout == "Name\nreceived\n"
    for statement in ("DROP TABLE otel_traces", "SELECT nope FROM traces", "SELECT file('/etc/hostname')", "SELECT 1; SELECT 2"):
        refused = spanhouse(running.data_dir, "sql", statement)
        assert refused.returncode == 2
        assert re.match(r"sql: (?!Received)\w", error(refused))
        assert running.clickhouse_http not in error(refused)


def test_a_format_in_the_statement_is_told_to_stand_beside_it(running: Serve) -> None:
    done = spanhouse(running.data_dir, "sql", "SELECT 1 FORMAT Vertical")
    assert done.returncode == 2
    assert "--format" in error(done)


def test_a_limit_beyond_a_page_is_named_by_its_option(running: Serve) -> None:
    assert "--limit 50001: from 1 to 50000" in error(spanhouse(running.data_dir, "search", "--limit", "50001"))


def test_a_name_that_is_usual_elsewhere_leads_to_the_one_used_here(running: Serve) -> None:
    assert "did you mean 'request_id'?" in error(spanhouse(running.data_dir, "search", "trace_id = 'x'"))


def test_doctor_finds_nothing_wrong_with_a_running_server(running: Serve) -> None:
    done = spanhouse(running.data_dir, "doctor")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert {level for level, *_ in lines} == {"ok"}
    assert {subject for _, subject, _ in lines} == {"python", "packages", "server", "store", "check", "spool"}
    assert f"grpc {running.grpc}" in done.stdout
    assert f"tables are up to date, {migrations.load().newest}" in done.stdout


def test_doctor_says_of_a_server_that_does_not_answer_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    dead = {
        "pid": os.getpid(),
        "store": f"chdb://{tmp_path}/store",
        "grpc": f"127.0.0.1:{port}",
        "http": "off",
        "clickhouse_http": "off",
        "console": "off",
    }
    (tmp_path / "serve.json").write_text(json.dumps(dead), encoding="utf-8")
    done = spanhouse(tmp_path, "doctor")
    assert done.returncode == 3
    assert f"127.0.0.1:{port} does not answer" in done.stdout


def test_doctor_says_what_waits_in_the_spool_and_what_was_put_aside(tmp_path: Path) -> None:
    for name, size in (("0/000000000001.sealed", 7), ("dead-letters/ab.otlp", 1), ("quarantine/0-000000000001-0.bin", 1)):
        file = tmp_path / "store-spool" / name
        file.parent.mkdir(parents=True)
        file.write_bytes(bytes(size))
    said = spanhouse(tmp_path, "doctor").stdout
    assert "7 bytes acknowledged and not yet stored: start `spanhouse serve`" in said
    assert f"1 requests that the store could not read are in {tmp_path}/store-spool/dead-letters: `spanhouse store replay`" in said
    assert f"1 pieces that were damaged on disk are in {tmp_path}/store-spool/quarantine" in said


def test_doctor_says_of_a_store_of_a_pre_release_what_to_do(tmp_path: Path) -> None:
    assert spanhouse(tmp_path, "migrate").returncode == 0
    code = (
        "import clickhouse_connect, sys; client = clickhouse_connect.get_client(dsn=sys.argv[1]); "
        "client.command('TRUNCATE TABLE spanhouse_migrations'); "
        "client.command('INSERT INTO spanhouse_migrations (id, name, sha256, state) SELECT 1, 1, 1, arrayJoin([\\'started\\', \\'done\\'])')"
    )
    subprocess.run([sys.executable, "-c", code, f"chdb://{tmp_path}/store"], check=True, timeout=120)
    done = spanhouse(tmp_path, "doctor")
    assert done.returncode == 3
    assert "made by a pre-release: make a new one, and carry its spans over by `spanhouse store push NEW --store THIS`" in done.stdout
    started = spanhouse(tmp_path, "serve", "--grpc", "off", "--http", "127.0.0.1:0", "--clickhouse-http", "off", "--console", "off")
    assert started.returncode == 3
    assert "made by a pre-release" in error(started)


def test_migrate_says_who_owns_the_store(running: Serve) -> None:
    done = spanhouse(running.data_dir, "migrate")
    assert done.returncode == 3
    assert f"owned by `spanhouse serve`, process {running.process.pid} (grpc={running.grpc} " in error(done)


def test_a_second_server_on_the_store_is_refused_in_one_line(running: Serve) -> None:
    done = spanhouse(running.data_dir, "serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--clickhouse-http", "off", "--console", "off")
    assert done.returncode == 3
    assert f"owned by `spanhouse serve`, process {running.process.pid} (grpc={running.grpc} " in error(done)


def test_a_server_on_a_port_that_is_taken_is_refused_in_one_line(running: Serve, tmp_path: Path) -> None:
    done = spanhouse(tmp_path, "serve", "--grpc", running.grpc, "--http", "off", "--clickhouse-http", "off", "--console", "off")
    assert done.returncode == 2
    assert running.grpc in error(done)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_takes_its_options_from_file_and_environment_and_ends_with_0_when_told_to(number: signal.Signals, tmp_path: Path) -> None:
    file = tmp_path / "spanhouse.toml"
    file.write_text(f"store = 'chdb://{tmp_path}/elsewhere'\nhttp = '127.0.0.1:1'\n", encoding="utf-8")
    with Serve(tmp_path, "--http", "off", env={"SPANHOUSE_CONFIG": str(file), "SPANHOUSE_CLICKHOUSE_HTTP": "127.0.0.1:1"}) as serve:
        assert (serve.store, serve.http) == (f"chdb://{tmp_path}/elsewhere", "off")
        assert serve.stop(number) == 0
        assert serve.log.read_text(encoding="utf-8") == ""


def test_a_server_leaves_nothing_in_the_directory_where_it_was_started(tmp_path: Path) -> None:
    started_in = tmp_path / "here"
    started_in.mkdir()
    with Serve(tmp_path / "data", cwd=started_in) as serve:
        call = urllib.request.Request(f"http://{serve.http}/v1/traces", trace().SerializeToString(), {"Content-Type": "application/x-protobuf"})
        with urllib.request.urlopen(call) as answer:  # noqa: S310 on loopback
            assert answer.status == 200
    assert list(started_in.iterdir()) == []


def test_ctrl_c_ends_a_verb_quietly(running: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a store that never answers
        words = ["search", "--store", f"http://127.0.0.1:{silent.getsockname()[1]}"]
        env = {**os.environ, "SPANHOUSE_DATA_DIR": str(running.data_dir)}
        command = [sys.executable, "-m", "spanhouse.cli", *words]
        silent.settimeout(60)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as process:
            connection, _ = silent.accept()
            with connection:
                process.send_signal(signal.SIGINT)
                said = process.communicate(timeout=60)
    # A shell says 130 of both: it ended with that code, or by the signal itself while it waited for the store.
    assert process.returncode in {130, -signal.SIGINT}
    assert said == (b"", b"")


def test_metadata_is_the_processor_s_own_program(tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text("", encoding="utf-8")
    ours = spanhouse(tmp_path, "metadata", str(script))
    theirs = subprocess.run([sys.executable, "-m", "spanhouse.processor", str(script)], capture_output=True, text=True, timeout=120)
    assert (ours.returncode, ours.stdout, ours.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)
    assert ours.returncode == 0
    assert "app.py" in ours.stdout
    assert spanhouse(tmp_path, "metadata", str(tmp_path / "nowhere.py")).returncode != 0
    assert "usage" in spanhouse(tmp_path, "metadata", "--help").stdout
