"""Prices of models in a store: written by version, listed, imported, applied to traces, copied with the store, and all that through a server."""

from __future__ import annotations

import csv
import http.client
import io
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from tests.faults.test_resent_requests import post
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.otlp import request, span
from tests.support.serve import Serve
from tests.support.store import TestStore
from tests.support.tokens import token_file

from spanhouse.cli import main
from spanhouse.schema.maintenance import actions, rebuild
from spanhouse.schema.prices import price_store, price_table
from spanhouse.schema.prices.price import Price, midnight_ns
from spanhouse.schema.prices.price_store import MOST_PRICES
from spanhouse.schema.prices.price_table import PriceTable, shipped_on
from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.driver import MigrationError

DAY = date(2026, 6, 1)
DAY_NS = midnight_ns(DAY)
ODD = 'it\'s \\ a "model", 漢字 🙂 {p:String}'


def price(model: str, usd: float = 1, **values: Any) -> Price:
    return Price(model=model, input=usd, output=2 * usd, **values)


class Run:
    """The command's output, and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def rows(self) -> Any:
        return json.loads(self.out)


class Command:
    """``spanhouse prices`` on one store, in this process."""

    def __init__(self, dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.dsn, self._capsys = dsn, capsys

    def __call__(self, *words: str) -> Run:
        code = main(["prices", *words, "--store", self.dsn])
        printed = self._capsys.readouterr()
        return Run(code, printed.out, printed.err)


@pytest.fixture
def command(store: TestStore, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(store.dsn, capsys)


# The table


def test_each_write_has_the_next_version_and_reads_as_it_was_written(store: TestStore) -> None:
    first = [price("b", 0.1, cached=1e-7, reasoning=3, source=ODD), price(ODD.lower(), valid_from=DAY)]
    assert price_store.write(store.execute, first) == 1
    assert price_store.write(store.execute, [price("b", deleted=True)]) == 2
    rows = price_store.read(store.execute)
    assert rows == (*(replace(one, version=1) for one in first), price("b", version=2, deleted=True))
    assert price_store.newest(store.execute) == 2
    assert price_table.current_version(rows) == f"{shipped_on()}+2"


def test_a_version_is_given_once_however_many_write_at_a_time(store: TestStore) -> None:
    def write(number: int) -> int:
        with closing(clickhouse_connect.get_client(dsn=store.dsn)) as client:
            return price_store.write(
                lambda sql, parameters=None, /: client.query(sql, parameters=dict(parameters or {})).result_rows, [price(f"m{number}", number)]
            )

    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(write, range(12)))
    assert sorted(versions) == list(range(1, 13))
    assert {row.model: row.version for row in price_store.read(store.execute)} == {f"m{number}": version for number, version in enumerate(versions)}


def test_a_version_that_others_have_taken_is_not_written(store: TestStore) -> None:
    price_store.write(store.execute, [price("m")])
    assert not price_store.write_as(store.execute, 1, [price("m", 2)])
    assert price_store.write_as(store.execute, 1, [price("m")])
    assert [row.input for row in price_store.read(store.execute)] == [1]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "a write of prices has 1 to 500 of them, not 0"),
        ([price(f"m{number}") for number in range(MOST_PRICES + 1)], "a write of prices has 1 to 500 of them, not 501"),
        ([price("m-1"), price("m.1")], ""),
        ([price("m1.1"), price("m1-1")], "m1-1 has two prices from 1970-01-01 on: which one holds?"),
        ([price("M")], "a name has 1 to 200 characters"),
        ([price("m", -1)], "-1 is no price of input tokens"),
    ],
    ids=["none", "too many", "two", "one", "upper case", "negative"],
)
def test_what_can_not_be_written_is_not_written(store: TestStore, rows: Sequence[Price], said: str) -> None:
    if not said:
        assert price_store.write(store.execute, rows) == 1
        return
    with pytest.raises(MigrationError, match=r".") as refused:
        price_store.write(store.execute, rows)
    assert said in str(refused.value)
    assert price_store.read(store.execute) == ()


def test_every_column_of_the_table_and_the_table_itself_say_what_they_are(store: TestStore) -> None:
    uncommented = "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'spanhouse_prices' AND comment = ''"
    assert store.execute(uncommented) == []
    assert store.execute("SELECT comment != '' FROM system.tables WHERE database = currentDatabase() AND name = 'spanhouse_prices'") == [(1,)]


# The command


def test_a_list_has_what_is_used_and_where_it_comes_from(command: Command) -> None:
    before = {row["model"]: row for row in command("list", "--format", "json").rows}
    assert before["gpt-4o"]["version"] == shipped_on()
    assert before["gpt-4o"]["source"].startswith("genai-prices")
    done = command("set", "GPT-4o", "--input", "1", "--output", "3", "--cached", "0.25", "--reasoning", "4", "--from", "2026-06-01")
    assert (done.code, done.err) == (0, "")
    assert "new prices: 1, as version 1" in done.out
    first, second = command("list", "azure/gpt-4o-2024-05-13", "--format", "json").rows
    assert first == {
        "model": "azure/gpt-4o-2024-05-13",
        "prices_of": "gpt-4o",
        "from": "2026-06-01",
        "input": 1.0,
        "output": 3.0,
        "cached": 0.25,
        "reasoning": 4.0,
        "source": "prices set",
        "version": "+1",
    }
    assert (second["prices_of"], second["from"]) == ("gpt-4o-2024-05-13", "1970-01-01")
    assert "gpt-4o-2024-05-13" in command("list", "gpt-4o-2024-05-13").out
    unknown = command("list", "no-such-model")
    assert (unknown.code, unknown.out) == (2, "")
    assert unknown.err == "spanhouse: there are no prices of 'no-such-model'; `spanhouse prices set` sets them\n"


def test_deleted_prices_leave_the_shipped_ones(command: Command) -> None:
    shipped = command("list", "gpt-4o", "--format", "json").rows
    for day in ("2026-06-01", "2026-07-01"):
        assert command("set", "gpt-4o", "--input", "1", "--output", "2", "--from", day).code == 0
    assert command("set", "gpt-4o", "--delete", "--from", "2026-07-01").code == 0
    assert [row["from"] for row in command("list", "gpt-4o", "--format", "json").rows] == ["2026-06-01", "1970-01-01"]
    assert command("set", "gpt-4o", "--delete").code == 0
    assert command("list", "gpt-4o", "--format", "json").rows == shipped
    again = command("set", "gpt-4o", "--delete")
    assert (again.code, again.out) == (2, "")
    assert "the store has no prices of 'gpt-4o'" in again.err


@pytest.mark.parametrize("name", ["prices.csv", "prices.json"])
def test_what_a_list_prints_can_be_imported_into_another_store(
    command: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    assert command("set", ODD, "--input", "0.1", "--output", "2", "--from", "2026-06-01").code == 0
    (tmp_path / name).write_text(command("list", ODD, "--format", name.rpartition(".")[2]).out, encoding="utf-8")
    with closing(TestStore()) as other:
        there = Command(other.dsn, capsys)
        assert "new prices: 1, as version 1" in there("import", str(tmp_path / name)).out
        assert there("list", ODD, "--format", "json").rows == command("list", ODD, "--format", "json").rows
        assert "the store has these prices already" in there("import", str(tmp_path / name)).out
        assert price_store.newest(other.execute) == 1


def test_an_import_of_more_than_one_write_takes_comes_as_several_versions(command: Command, store: TestStore, tmp_path: Path) -> None:
    lines = [f"m{number},1,2" for number in range(MOST_PRICES + 1)]
    (tmp_path / "many.csv").write_text("\n".join(["model,input,output", *lines]))
    assert "new prices: 501, as versions 1 to 2" in command("import", str(tmp_path / "many.csv")).out
    rows = price_store.read(store.execute)
    assert len(rows) == MOST_PRICES + 1
    assert {row.source for row in rows} == {"many.csv"}


def test_the_list_of_the_package_is_imported_as_it_is_installed(command: Command, store: TestStore) -> None:
    done = command("import", "--from", "genai-prices")
    assert (done.code, done.err) == (0, "")
    table = PriceTable(price_store.read(store.execute))
    assert {one.model for one in table.find("gpt-4o-mini")} == {"gpt-4o-mini"}
    assert all(one.version for one in table.find("openai/gpt-4o-mini-2024-07-18"))
    assert "the store has these prices already" in command("import", "--from", "genai-prices").out


BAD_FILES: Mapping[str, tuple[str | None, str]] = {
    "missing.csv": (None, "no such file"),
    "empty.csv": ("", "no prices in it"),
    "head.csv": ("model,input,output\n", "no prices in it"),
    "bad.json": ("{", "neither CSV in UTF-8 nor, named *.json, JSON"),
    "object.json": ('{"model": "m"}', "no prices in it"),
    "number.json": ("[1]", "price 1: no object with model, from"),
    "column.csv": ("model,input,output,prize\nm,1,2,3\n", "price 1: unknown field 'prize'"),
    "price.csv": ("model,input,output\nm,1,2\nn,free,2\n", "price 2: input 'free' is no price in USD per million tokens"),
    "cells.csv": ("model,input,output\nm,1,2,3\n", "price 1: unknown field 'None'"),
    "twice.csv": ("model,input,output\nm,1,2\nm,2,3\n", "m has two prices from 1970-01-01 on: which one holds?"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_holds_no_prices_is_refused_as_a_whole(command: Command, store: TestStore, tmp_path: Path, name: str) -> None:
    content, said = BAD_FILES[name]
    if content is not None:
        (tmp_path / name).write_text(content)
    done = command("import", str(tmp_path / name))
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1
    assert price_store.newest(store.execute) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lst",), "'lst' is none of apply, import, list, set; the nearest one is list"),
        (("set",), "required: MODEL"),
        (("set", "m"), "prices set: input is missing"),
        (("set", "m", "--input", "1"), "prices set: output is missing"),
        (("set", "m", "--input", "-1", "--output", "1"), "-1.0 is no price of input tokens"),
        (("set", "m", "--input", "1", "--output", "1", "--from", "june"), "--from: 'june' is no day"),
        (("set", "m", "--input", "1", "--output", "1", "--since", "7d"), "unknown option '--since'"),
        (("import",), "prices import: the file, or --from genai-prices is missing"),
        (("import", "--from", "elsewhere"), "--from takes genai-prices, and no file beside it"),
        (("import", "x.csv", "--input", "1"), "unknown option '--input'"),
        (("apply",), "--since is missing"),
        (("apply", "--since", "june"), "since 'june' is no length of time"),
        (("apply", "m", "--since", "7d"), "'m' is one word too many"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_told_in_one_line_and_changes_nothing(command: Command, store: TestStore, words: Sequence[str], said: str) -> None:
    done = command(*words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert price_store.newest(store.execute) == 0


# Prices and traces


def remade(store: TestStore) -> set[str]:
    """Return the traces whose rows were made anew since they were marked."""
    return {str(row[0]) for row in store.execute("SELECT Name FROM spanhouse_trace_rows FINAL WHERE Settled > toDateTime('2001-01-01')")}


def mark(store: TestStore) -> None:
    store.execute("ALTER TABLE spanhouse_trace_rows UPDATE Settled = toDateTime('2001-01-01') WHERE 1 SETTINGS mutations_sync = 2")


def test_prices_are_applied_to_traces_with_spans_since_a_day_and_to_no_others(command: Command, store: TestStore) -> None:
    hour = 3600 * 10**9
    for name, start_ns in (("before", DAY_NS - 1), ("day before", DAY_NS - 24 * hour), ("first", DAY_NS), ("later", DAY_NS + 30 * hour)):
        store.ingest(request([span(name, start_ns=start_ns)]))
    mark(store)
    done = command("apply", "--since", "2026-06-01")
    assert (done.code, done.err) == (0, "")
    assert f"are made anew by prices {shipped_on()} (2 windows)" in done.out
    assert remade(store) == {"first", "later"}


def cost(store: TestStore) -> tuple[object, ...]:
    return tuple(store.execute("SELECT round(Cost, 9), CostSource, PriceVersion FROM traces")[0])


def test_a_cost_that_was_not_sent_is_computed_from_tokens_and_prices(store: TestStore) -> None:
    price_store.write(store.execute, [price("m", 2.0, cached=0.5, reasoning=20.0)])
    said = {
        "gen_ai.request.model": "openai/m-2026-01-01",
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.cache_read.input_tokens": 400,
        "gen_ai.usage.output_tokens": 100,
        "gen_ai.usage.reasoning_tokens": 30,
    }
    store.ingest(request([span("chat", start_ns=DAY_NS, attributes=said)]))
    # 600 in at 2, 400 cached at 0.5, 70 out at 4, 30 reasoning at 20, a million each.
    assert cost(store) == ((1200 + 200 + 280 + 600) / 1e6, "computed", f"{shipped_on()}+1")


def test_a_cost_that_was_sent_is_taken_and_an_agent_that_repeats_its_calls_adds_nothing(store: TestStore) -> None:
    price_store.write(store.execute, [price("m", 2.0)])
    chat = {"gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10}
    agent = chat | {"gen_ai.usage.input_tokens": 200, "gen_ai.usage.output_tokens": 20}
    ids = [bytes([number] * 8) for number in (1, 2, 3)]
    spans = [
        span("agent", trace_id=b"t" * 16, span_id=ids[0], start_ns=DAY_NS, attributes=agent),
        span("chat", trace_id=b"t" * 16, span_id=ids[1], parent=ids[0], start_ns=DAY_NS + 1, attributes=chat),
        span("chat", trace_id=b"t" * 16, span_id=ids[2], parent=ids[0], start_ns=DAY_NS + 2, attributes=chat | {"gen_ai.usage.cost": 0.5}),
    ]
    store.ingest(request(spans))
    # One call is 100 at 2 and 10 at 4, the other said 0.5; the agent's own 400 and 80 are less than its calls'.
    assert cost(store) == (0.5 + 240 / 1e6, "computed", f"{shipped_on()}+1")


def test_a_row_keeps_the_prices_that_it_used_until_others_are_applied(store: TestStore) -> None:
    said = {"gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 1000}
    price_store.write(store.execute, [price("m", 1.0)])
    store.ingest(request([span("first", trace_id=b"t" * 16, span_id=b"12345678", start_ns=DAY_NS, attributes=said)]))
    assert cost(store) == (0.001, "computed", f"{shipped_on()}+1")
    price_store.write(store.execute, [price("m", 5.0)])
    store.ingest(request([span("late", trace_id=b"t" * 16, span_id=b"late-one", parent=b"12345678", start_ns=DAY_NS + 1, attributes=said)]))
    assert cost(store) == (0.001, "computed", f"{shipped_on()}+1"), "the parent's tokens are its child's"
    *_, outcome = actions.remake(store.execute)
    assert (outcome, cost(store)) == ({"remade": 1}, (0.001, "computed", f"{shipped_on()}+1"))
    *_, outcome = actions.reprice(store.execute, DAY_NS)
    assert (outcome, cost(store)) == ({"remade": 1, "prices": f"{shipped_on()}+2"}, (0.005, "computed", f"{shipped_on()}+2"))


def test_prices_that_were_applied_in_part_go_on_where_they_ended(store: TestStore) -> None:
    for hours in range(3):
        store.ingest(request([span(f"t{hours}", start_ns=DAY_NS + hours * 3600 * 10**9)]))
    steps = rebuild.reprice(store.execute, DAY_NS, "2026-12-01+1")
    assert next(steps).done == 1
    steps.close()  # type: ignore[attr-defined]
    mark(store)
    assert [step.done for step in rebuild.reprice(store.execute, DAY_NS, "2026-12-01+1")] == [1, 2, 3]
    assert len(remade(store)) == 2
    mark(store)
    assert [step.done for step in rebuild.reprice(store.execute, DAY_NS, "2026-12-01+2")] == [1, 2, 3]
    assert len(remade(store)) == 3


# Copies


def test_a_copy_of_a_store_has_its_prices_under_their_versions(store: TestStore) -> None:
    for usd in (1, 2):
        price_store.write(store.execute, [price("m", usd), price("n", usd, valid_from=DAY)])
    with closing(TestStore()) as other:
        price_store.write(other.execute, [price("m", 1), price("n", 1, valid_from=DAY)])
        assert price_store.push(store.execute, other.execute) == 4
        assert price_store.read(other.execute) == price_store.read(store.execute)
        assert price_store.push(store.execute, other.execute) == 4
        assert price_store.write(other.execute, [price("own")]) == 3
        assert price_store.push(store.execute, other.execute) == -1
        assert price_store.newest(other.execute) == 3


def test_a_store_without_such_a_table_has_no_prices_to_copy(store: TestStore) -> None:
    with closing(
        TestStore(migrations.Tables(migrations.Migration(0, "baseline", "old", ("CREATE TABLE otel_traces (a UInt8) ENGINE = Memory",)), ()))
    ) as old:
        assert price_store.push(old.execute, store.execute) == 0


# A server that has the store open, and a ClickHouse server


def spanhouse(serve: Serve, *words: str, store: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "spanhouse.cli", *words, "--store", store or serve.store]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=serve.env)


def ask(serve: Serve, body: object, *, path: str = "prices", method: str = "POST", token: str = "") -> tuple[int, Any]:
    connection = http.client.HTTPConnection(serve.console, timeout=60)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection.request(method, f"/api/v1/{path}", body if isinstance(body, bytes) else json.dumps(body), headers)
    response = connection.getresponse()
    said = response.read()
    connection.close()
    return response.status, json.loads(said.splitlines()[-1])


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    with Serve(tmp_path_factory.mktemp("prices")) as running:
        yield running


def test_prices_go_through_the_server_that_has_the_store_open(kept: Serve) -> None:
    post(kept, request([span("served", start_ns=DAY_NS)]).SerializeToString())
    kept.drained()
    said = []
    for store in (kept.store, kept.dsn):
        done = spanhouse(kept, "prices", "set", ODD, "--input", "0.1", "--output", "2", store=store)
        said.append(done.stdout)
        assert (done.returncode, done.stderr) == (0, "")
        listed = spanhouse(kept, "prices", "list", ODD, "--format", "csv", store=store)
        assert [row["input"] for row in csv.DictReader(io.StringIO(listed.stdout))] == ["0.1"]
        applied = spanhouse(kept, "prices", "apply", "--since", "2026-06-01", store=store)
        assert (applied.returncode, applied.stderr) == (0, "")
        assert f"are made anew by prices {shipped_on()}+1 (1 windows)" in applied.stdout
    assert "new prices: 1, as version 1" in said[0]
    assert said[1] == "the store has these prices already\n"


def test_the_api_writes_prices_and_refuses_what_are_none_in_one_line(kept: Serve) -> None:
    status, before = ask(kept, {"prices": [{"model": "A", "from": "2026-06-01", "input": 1, "output": 2, "cached": None}]})
    assert status == 200
    assert ask(kept, {"prices": [{"model": "a", "from": "2026-06-01", "deleted": True}]}) == (200, {"version": before["version"] + 1})
    refused: list[object] = [
        b"no JSON",
        {"prices": {}},
        {"prices": [1]},
        {"prices": [], "more": 1},
        {"prices": []},
        {"prices": [{"model": "m", "input": 1}]},
        {"prices": [{"model": "m", "input": True, "output": 1}]},
        {"prices": [{"model": "m", "input": 1, "output": 1}] * 2},
        {"prices": [{"model": "m", "deleted": [1]}]},
    ]
    for body in refused:
        code, said = ask(kept, body)
        assert (code, list(said)) == (400, ["error"]), body
    assert ask(kept, b"", method="GET")[0] == 405
    for body in (b"", {}, {"since_ns": -1}, {"since_ns": True}, {"since_ns": 2**63}, {"since_ns": 1, "more": 1}):
        assert ask(kept, body, path="store/prices")[0] == 400, body
    assert ask(kept, {"since_ns": 2**63 - 1}, path="store/prices")[0] == 200


def test_only_a_token_that_may_write_sets_and_applies_prices_and_one_that_reads_lists_them(tmp_path: Path) -> None:
    tokens = token_file(tmp_path / "tokens", "reader:read", "writer:read,write")
    with Serve(tmp_path / "data", "--token-file", str(tokens)) as serve:
        good = {"prices": [{"model": "m", "input": 1, "output": 2}]}
        assert ask(serve, good, token="reader")[0] == 403
        assert ask(serve, {"since_ns": 0}, path="store/prices", token="reader")[0] == 403
        assert ask(serve, good, token="writer") == (200, {"version": 1})
        reader, writer = (f"http://any:{name}@{serve.clickhouse_http}" for name in ("reader", "writer"))
        assert '"version": "+1"' in spanhouse(serve, "prices", "list", "m", "--format", "json", store=reader).stdout
        refused = spanhouse(serve, "prices", "set", "m", "--input", "1", "--output", "3", store=reader)
        assert refused.returncode == 3
        assert "the token does not allow to write" in refused.stderr
        assert spanhouse(serve, "prices", "set", "m", "--input", "1", "--output", "3", store=writer).returncode == 0


def test_a_whole_write_gets_through_to_a_clickhouse_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{'漢' * 60}{number},0.123456789,2,0.5,3,2026-06-01,{ODD.replace(',', ';').replace(chr(34), '')}" for number in range(MOST_PRICES)]
    (tmp_path / "many.csv").write_text("\n".join(["model,input,output,cached,reasoning,from,source", *lines]), encoding="utf-8")
    with ClickHouseServer(tmp_path / "server") as server:
        admin = clickhouse_connect.get_client(dsn=f"http://127.0.0.1:{server.port}")
        admin.command("CREATE DATABASE IF NOT EXISTS spanhouse")
        admin.close()
        with closing(clickhouse_connect.get_client(dsn=server.dsn, autogenerate_session_id=False)) as client:
            migrations.apply(lambda sql, parameters=None, /: client.query(sql, parameters=dict(parameters or {})).result_rows)
        command = Command(server.dsn, capsys)
        done = command("import", str(tmp_path / "many.csv"))
        assert (done.err, done.code) == ("", 0)
        assert "new prices: 500, as version 1" in done.out
        (row,) = command("list", f"{'漢' * 60}7", "--format", "json").rows
        assert (row["input"], row["from"]) == (0.123456789, "2026-06-01")
        assert command("apply", "--since", "7d").code == 0
