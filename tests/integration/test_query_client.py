"""TraceClient: how it finds a store, what it reads of traces, and what it says when something is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support import otlp
from tests.support.serve import Serve
from tests.support.store import TestStore, connect, engine_directory

from spanhouse.query import FilterError, StoreUnavailableError, TraceClient, compile_filter, search_traces
from spanhouse.query.sql.statement import Statement
from spanhouse.schema.address.dsn import StoreError
from spanhouse.schema.address.serving import FILE_NAME, Serving

FIXTURES = Path(__file__).parent.parent / "fixtures"


@pytest.fixture
def client(store: TestStore) -> Iterator[TraceClient]:
    with TraceClient(store.dsn) as made:
        yield made


def _id(request: Any) -> str:
    return str(request.resource_spans[0].scope_spans[0].spans[0].trace_id.hex())


def test_a_trace_is_read_with_its_spans_by_either_form_of_its_id(store: TestStore, client: TraceClient) -> None:
    request = otlp.trace(
        resource={"service.name": "svc", "service.version": "1.0.0"},
        attributes={
            "mlflow.traceMetadata.a": "1",
            "mlflow.traceTag.t": "2",
            "mlflow.traceRequestPreview": "hi",
            "mlflow.spanType": '"LLM"',
            "n": "1",
        },
        name="chat",
        start_ns=1_760_000_000_123_456_789,
        duration_ns=5_500_000,
        error=True,
    )
    root = request.resource_spans[0].scope_spans[0].spans[0]
    event = root.events.add(name="exception", time_unix_nano=1_760_000_000_123_456_790)
    event.attributes.extend(otlp.key_values({"exception.type": "ValueError"}))
    link = root.links.add(trace_id=b"\1" * 16, span_id=b"\2" * 8, trace_state="k=v")
    link.attributes.extend(otlp.key_values({"why": "retry"}))
    store.ingest(request)
    found = client.get_trace(_id(request))
    assert found is not None
    assert found == client.get_trace(f"tr-{_id(request).upper()}")
    info = found.info
    assert (info.trace_id, info.name, info.experiment_id, info.request_time) == (f"tr-{_id(request)}", "chat", "svc", 1_760_000_000_123)
    assert (info.execution_time_ms, info.status, info.span_count, info.error_count) == (5, "ERROR", 3, 1)
    assert (info.trace_metadata["a"], info.trace_metadata["app_version"], info.tags["t"], info.request_preview) == ("1", "1.0.0", "2", "hi")
    first, *children = found.data.spans
    assert [span.name for span in children] == ["child 0", "child 1"]
    assert {span.parent_id for span in children} == {first.span_id} == {info.root_span_id}
    assert (first.parent_id, first.status, first.status_message, first.kind, first.span_type) == (None, "ERROR", "boom", "Server", "LLM")
    assert (first.start_time_ns, first.end_time_ns) == (1_760_000_000_123_456_789, 1_760_000_000_128_956_789)
    assert first.attributes["n"] == "1"
    assert first.resource["service.version"] == "1.0.0"
    assert [(it.name, it.time_ns, it.attributes) for it in first.events] == [
        ("exception", 1_760_000_000_123_456_790, {"exception.type": "ValueError"})
    ]
    assert [(it.trace_id, it.span_id, it.trace_state, it.attributes) for it in first.links] == [("01" * 16, "02" * 8, "k=v", {"why": "retry"})]


def test_of_a_span_that_is_stored_twice_the_copy_that_knows_its_code_is_given(store: TestStore, client: TraceClient) -> None:
    root = otlp.span("chat", start_ns=1_760_000_000_000_000_000)
    stamped = {"service.name": "svc", "vcs.ref.head.revision": "a" * 40}
    for resource in ({"service.name": "svc"}, stamped, {"service.name": "svc", "other": "1"}):
        store.ingest(otlp.request([root], resource=resource))
    found = client.get_trace(root.trace_id.hex())
    assert found is not None
    assert [span.resource for span in found.data.spans] == [stamped]
    assert [trace.info.span_count for trace in client.search_traces(filter_string="git.commit = 'aaaa'")] == [1]


def test_a_trace_whose_root_never_came_is_found_by_its_commit(store: TestStore, client: TraceClient) -> None:
    crashed = otlp.span("before the crash", parent=b"elsewher", flags=otlp.LOCAL)
    store.ingest(otlp.request([crashed], resource={"service.name": "svc", "vcs.ref.head.revision": "b" * 40}))
    (found,) = client.search_traces(filter_string="git.commit = 'bbbb' AND status = 'IN_PROGRESS'", max_results=10)
    assert (found.info.name, found.info.execution_duration, [span.name for span in found.data.spans]) == ("", None, ["before the crash"])


def test_tokens_that_no_span_reports_are_no_number(store: TestStore, client: TraceClient) -> None:
    store.ingest(
        otlp.trace(name="silent"),
        otlp.trace(name="half", attributes={"gen_ai.usage.input_tokens": 7}),
        otlp.trace(name="none", attributes={"gen_ai.usage.output_tokens": 0}),
    )
    found = {trace.info.name: (trace.info.input_tokens, trace.info.output_tokens) for trace in client.search_traces()}
    assert found == {"silent": (None, None), "half": (7, None), "none": (None, 0)}
    for text, names in (("tokens.total < 100", {"half", "none"}), ("tokens.total IS NULL", {"silent"}), ("tokens.output = 0", {"none"})):
        assert {trace.info.name for trace in client.search_traces(filter_string=text)} == names
    ordered = client.search_traces(order_by=["tokens.total DESC"], max_results=3)
    assert [trace.info.name for trace in ordered] == ["half", "none", "silent"]


def test_an_unknown_trace_is_none(client: TraceClient) -> None:
    assert client.get_trace("tr-" + "0" * 32) is None
    assert client.get_trace("' OR 1 --") is None


def test_a_span_that_is_stored_twice_is_given_once(store: TestStore, client: TraceClient) -> None:
    request = otlp.trace()
    store.ingest(request)
    store.ingest(request, request)
    assert store.rows("SELECT count() AS n FROM otel_traces")[0]["n"] > 3
    found = client.get_trace(_id(request))
    assert found is not None
    assert len(found.data.spans) == found.info.span_count == 3


@pytest.mark.parametrize("include_spans", [True, False])
def test_the_spans_of_what_a_search_finds_are_there_when_they_are_looked_at(store: TestStore, client: TraceClient, include_spans: bool) -> None:
    requests = [otlp.trace(children=children) for children in range(4)]
    store.ingest(*requests)
    page = client.search_traces(max_results=10, include_spans=include_spans, order_by=["timestamp_ms ASC"])
    assert {trace.info.trace_id[3:]: len(trace.data.spans) for trace in page} == {_id(request): number + 1 for number, request in enumerate(requests)}
    matches = client.search_traces(include_spans=include_spans)
    assert sum(len(trace.data.spans) for trace in matches) == 10


def test_services_runs_and_models_narrow_a_search(store: TestStore, client: TraceClient) -> None:
    store.ingest(otlp.trace(resource={"service.name": "a"}, attributes={"mlflow.traceMetadata.mlflow.sourceRun": "r"}))
    store.ingest(otlp.trace(resource={"service.name": "b", "mlflow.modelId": "m"}, attributes={"mlflow.traceMetadata.k": "v"}))
    store.ingest(otlp.trace(resource={"service.name": "c"}))

    def found(**arguments: Any) -> list[str]:
        return sorted(trace.info.experiment_id for trace in client.search_traces(**arguments))

    assert found() == ["a", "b", "c"]
    assert found(experiment_ids=["a", "c"]) == found(locations=["c", "a"]) == ["a", "c"]
    assert found(experiment_ids=[]) == found(locations=[]) == []
    assert found(run_id="r") == found(filter_string="run_id = 'r'") == ["a"]
    assert found(model_id="m") == found(model_id="m", filter_string="metadata.k = 'v'") == ["b"]
    assert found(model_id="m", filter_string="metadata.k = 'w'") == found(run_id="r", experiment_ids=["b"]) == []


def test_an_experiment_that_no_service_is_called_after_is_an_error_that_names_the_nearest(store: TestStore, client: TraceClient) -> None:
    with pytest.raises(FilterError, match="no service is called '0': no trace is stored yet"):
        client.search_traces(experiment_ids=["0"])
    root, call = otlp.span(), otlp.new_span_id()
    below = otlp.span("charge", trace_id=root.trace_id, span_id=call, parent=root.span_id, flags=otlp.REMOTE)
    store.ingest(otlp.request([root], resource={"service.name": "checkout"}), otlp.request([below], resource={"service.name": "payments"}))
    for arguments in ({"experiment_ids": ["checkout", "chekout"]}, {"locations": ["chekout"]}):
        with pytest.raises(FilterError, match="no service is called 'chekout': did you mean 'checkout'"):
            client.search_traces(**arguments)  # type: ignore[arg-type]
    for call_of in (client.count, client.search_frame, client.search_traces):
        with pytest.raises(FilterError, match="no service is called '0': services are 'checkout', 'payments'"):
            call_of(locations=["0"])
    with pytest.raises(FilterError, match="no service is called 'paymets': did you mean 'payments'"):
        client.compare("version", service="paymets")
    assert len(client.search_traces(experiment_ids=["checkout"])) == client.count(service="payments") == 1
    assert client.count(experiment_ids=["payments"]) == 0, "it takes part, and no trace begins in it"


def test_traces_are_counted_and_grouped_in_the_engine(store: TestStore, client: TraceClient) -> None:
    for version, error in (("1", False), ("1", True), ("2", False), (None, False)):
        attributes = {"mlflow.traceMetadata.v": version} if version else {}
        store.ingest(otlp.trace(resource={"service.name": "a" if error else "b"}, attributes=attributes, error=error))
    assert (client.count(), client.count("metadata.v = '1'"), client.count(experiment_ids=["a"]), client.count(locations=[])) == (4, 2, 1, 0)
    assert list(client.group_by("metadata.v").items()) == [("1", 2), ("2", 1), (None, 1)]
    assert client.group_by("status", "metadata.v IS NOT NULL", experiment_ids=["a"]) == {"ERROR": 1}
    assert client.group_by("metadata.v", limit=1) == {"1": 2}
    assert client.group_by("metadata.`' OR 1 --`") == {None: 4}
    for key, says in (("span.name", "not by fields of their spans"), ("nothing", "unknown attribute"), ("metadata.v = '1'", "unexpected text")):
        with pytest.raises(FilterError, match=says):
            client.group_by(key)


def test_order_by_sorts_and_puts_missing_values_last_in_both_directions(store: TestStore, client: TraceClient) -> None:
    for number, version in enumerate(["b", "a", None, "c"]):
        attributes = {} if version is None else {"mlflow.traceMetadata.v": version}
        store.ingest(otlp.trace(attributes=attributes, start_ns=1_760_000_000_000_000_000 + number))

    def versions(order_by: list[str]) -> list[str | None]:
        return [trace.info.trace_metadata.get("v") for trace in client.search_traces(order_by=order_by)]

    assert versions(["metadata.v"]) == ["a", "b", "c", None]
    assert versions(["metadata.v DESC"]) == ["c", "b", "a", None]


@pytest.mark.parametrize("format_name", ["pandas", "arrow", "polars"])
def test_a_frame_has_a_row_for_each_trace(store: TestStore, client: TraceClient, format_name: str) -> None:
    store.ingest(
        *[otlp.trace(resource={"service.name": "svc", "service.version": str(number)}, start_ns=10**18 + number * 10**6) for number in range(3)],
        otlp.trace(attributes={"gen_ai.usage.cost": 0.25}, start_ns=10**18 + 10**9),
    )
    rows = _rows_of(client.search_frame(filter_string="metadata.app_version != '1'", order_by=["timestamp_ms"], format=format_name))
    assert [dict(row["trace_metadata"])["app_version"] for row in rows] == ["0", "2"]
    assert [row["request_time"] for row in rows] == [10**12, 10**12 + 2]
    assert rows[0]["state"] == "OK"
    everything = client.search_frame(order_by=["cost"], format=format_name)
    assert _rows_of(everything)[0]["cost"] == 0.25
    empty = client.search_frame(filter_string="name = 'nope'", format=format_name)
    assert len(empty) == 0
    assert list(_columns_of(empty)) == list(_columns_of(everything))


def test_a_frame_of_polars_has_the_same_types_whether_or_not_it_has_rows(store: TestStore, client: TraceClient) -> None:
    empty = client.search_frame(format="polars")
    store.ingest(otlp.trace())
    assert client.search_frame(format="polars").schema == empty.schema


def _rows_of(frame: Any) -> list[dict[str, Any]]:
    if hasattr(frame, "to_pylist"):
        return list(frame.to_pylist())
    rows = frame.to_dict("records") if hasattr(frame, "iloc") else frame.to_dicts()
    return [{**row, "trace_metadata": _pairs(row["trace_metadata"])} for row in rows]


def _pairs(found: Any) -> Any:
    """A map as Polars has it, a list of keys and values, as a dict."""
    return {item["key"]: item["value"] for item in found} if isinstance(found, list) else found


def _columns_of(frame: Any) -> Any:
    return frame.column_names if hasattr(frame, "column_names") else frame.columns


def test_keys_and_values_are_those_that_traces_have(store: TestStore, client: TraceClient) -> None:
    store.ingest(*(otlp.trace(resource={"service.name": "svc", "service.version": version}) for version in ("1", "2", "2")))
    listed = client.keys()
    found = {key.key: (key.values, key.complete) for key in listed}
    assert found["app_version"] == found["service.version"] == (2, True)
    # Those of a key with a column of its own are counted, others are listed.
    assert client.values("app_version") == {"2": 2, "1": 1}
    assert client.values("service.version") == {"1": None, "2": None}
    assert client.values("it's {p0:String}") == {}


def test_a_span_tree_has_the_root_at_its_top(store: TestStore, client: TraceClient) -> None:
    request = otlp.trace(name="chat")
    store.ingest(request)
    (root,) = client.get_span_tree(_id(request))
    assert root.span.name == "chat"
    found = client.get_trace(_id(request))
    assert found is not None
    assert {node.span.span_id for node in root.walk()} == {span.span_id for span in found.data.spans}
    assert client.get_span_tree("0" * 32) == ()


def test_an_analysis_gives_the_statements_of_a_search_with_what_they_read(store: TestStore, client: TraceClient, serve: Serve) -> None:
    store.ingest(otlp.trace(), otlp.trace())
    steps = client.analyze("status = 'OK'", max_results=5)
    assert [step.cost.rows for step in steps] == [2, 2]
    assert "OK" in steps[0].statement.parameters.values()
    assert all(step.cost.read_rows > 0 and step.cost.read_bytes > 0 and step.cost.seconds > 0 for step in steps)
    with TraceClient(serve.dsn) as far:
        assert len(far.analyze("name = 'nobody'")) == 2
        # What is read is told also where nothing is found.
        rows, cost = far._connection.measure(Statement("SELECT database FROM system.tables WHERE name = 'nobody'", {}))
        assert (rows, cost.rows) == ([], 0)


def test_traces_are_found_by_the_prompts_that_they_used(store: TestStore, client: TraceClient) -> None:
    used = json.dumps([{"name": "hi%", "version": "3"}, {"name": "a/b", "version": "1"}])
    by_span = otlp.request([otlp.span(attributes={"mlflow.linkedPrompts": json.dumps(used), "mlflow.traceRequestId": '"tr-1"'})])
    by_tag = otlp.request([otlp.span(attributes={"mlflow.traceTag.mlflow.linkedPrompts": used})])
    store.ingest(by_span, by_tag, otlp.trace())
    assert client.count("prompt = 'hi%/3'") == client.count("prompt = 'a/b/1'") == client.count("trace.prompt = 'hi%/3'") == 2
    assert client.count("prompt = 'hix/3'") == client.count("prompt = 'hi%/33'") == client.count("prompt = 'hi%/1'") == 0
    assert client.count("NOT prompt = 'hi%/3'") == 1


def test_an_unknown_frame_format_is_the_users_mistake(client: TraceClient) -> None:
    with pytest.raises(FilterError, match="known are pandas, arrow, polars"):
        client.search_frame(format="excel")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filter_string": "stat = 'OK'"}, "did you mean 'status'"),
        ({"filter_string": "name RLIKE '(?=a)'"}, "not a regular expression"),
        ({"filter_string": "name = 'a' AND name RLIKE '['", "max_results": 5}, "not a regular expression"),
        ({"filter_string": 5}, "a filter is a string"),
        ({"order_by": ["nope"]}, "unknown attribute"),
        ({"max_results": 0}, "1 to 50000"),
        ({"max_results": 5, "page_token": "junk"}, "invalid page token"),
        ({"experiment_ids": "svc"}, "is a list of service names"),
        ({"experiment_ids": [5]}, "takes text"),
        ({"experiment_ids": ["a"], "locations": ["a"]}, "give one of them"),
        ({"run_id": 5}, "run_id takes text"),
        ({"model_id": "\ud800"}, "surrogate"),
    ],
)
def test_a_mistake_in_the_arguments_is_told_at_the_call(client: TraceClient, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(FilterError, match=message) as caught:
        client.search_traces(**arguments)
    assert "\n" not in str(caught.value)


def test_a_wrong_pattern_is_shown_where_it_stands(client: TraceClient) -> None:
    text = "name RLIKE 'good' AND name RLIKE 'b(ad'"
    with pytest.raises(FilterError) as caught:
        client.search_traces(filter_string=text)
    assert text[caught.value.start : caught.value.end] == "'b(ad'"


def test_the_arguments_stand_in_mlflows_order(store: TestStore, client: TraceClient) -> None:
    store.ingest(otlp.trace(resource={"service.name": "svc"}, attributes={"mlflow.traceMetadata.mlflow.sourceRun": "r"}))
    page = client.search_traces(["svc"], "status = 'OK'", 5, ["timestamp_ms DESC"], None, "r")
    assert len(page) == 1


def test_the_functions_of_the_module_search_and_compile(store: TestStore) -> None:
    store.ingest(otlp.trace())
    assert len(search_traces(filter_string="status = 'OK'", dsn=store.dsn)) == 1
    statement = compile_filter("status = 'OK'")
    rows = store.client.query(statement.sql, parameters=dict(statement.parameters)).result_rows
    assert len(rows) == 1


@pytest.mark.parametrize(
    ("dsn", "error", "says"),
    [
        ("foo", StoreError, "expected chdb:///"),
        ("chdb://:memory:", StoreError, "chdb:///absolute"),
        ("chdb:///no/such/store", StoreError, "start `spanhouse serve`"),
        ("http://user:secret@127.0.0.1:1/db", StoreUnavailableError, "does not answer"),
    ],
)
def test_a_store_that_cannot_be_reached_is_one_line_without_secrets(dsn: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        TraceClient(dsn)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_database_without_our_tables_says_how_to_make_them(store: TestStore) -> None:
    admin = connect()
    admin.command("CREATE DATABASE IF NOT EXISTS bare")
    admin.close()
    with TraceClient(f"chdb://{engine_directory()}?database=bare") as bare, pytest.raises(StoreUnavailableError, match="run `spanhouse migrate`"):
        bare.search_traces(max_results=1)


def test_a_client_that_was_told_nothing_says_what_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANHOUSE_DATA_DIR", str(tmp_path))
    with pytest.raises(StoreError, match="start `spanhouse serve`"):
        TraceClient()
    # The file of a server that is gone leads nowhere.
    ended = subprocess.Popen(["true"])
    ended.wait()
    gone = Serving(pid=ended.pid, store="chdb:///x", grpc="off", http="off", clickhouse_http="127.0.0.1:1", console="off")
    gone.write(tmp_path / FILE_NAME)
    with pytest.raises(StoreError, match="start `spanhouse serve`"):
        TraceClient()
    # Nor does one whose number another process has by now.
    replace(gone, pid=os.getpid()).write(tmp_path / FILE_NAME)
    with pytest.raises(StoreError, match="start `spanhouse serve`"):
        TraceClient()


def test_a_client_that_was_told_nothing_finds_the_servers_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Serve(tmp_path, "--store", f"chdb://{tmp_path}/store?database=elsewhere"):
        monkeypatch.setenv("SPANHOUSE_DATA_DIR", str(tmp_path))
        with TraceClient() as client:
            assert len(client.search_traces()) == 0


def test_the_read_only_endpoint_answers_every_filter_that_the_page_lists(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "filters.md").read_text(encoding="utf-8")
    listed: list[str] = re.findall(r"^```accepted\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    with Serve(tmp_path) as running, TraceClient(running.dsn) as client:
        for text in listed[0].splitlines():
            assert list(client.search_traces(filter_string=text, max_results=10)) == []


@pytest.mark.parametrize(
    ("store", "said"),
    [("http://user:***@clickhouse:8123/db", "keeps its traces in http://user:"), ("chdb:///x", "serves no queries")],
)
def test_a_running_server_that_cannot_be_asked_says_why(store: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANHOUSE_DATA_DIR", str(tmp_path))
    Serving(pid=os.getpid(), store=store, grpc="127.0.0.1:1", http="off", clickhouse_http="off", console="off").write(tmp_path / FILE_NAME)
    with pytest.raises(StoreError, match=said):
        TraceClient()


def test_a_server_with_a_token_file_lets_in_who_names_a_token(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"reader:{hashlib.sha256(b'let-me-in').hexdigest()}:read\n")
    with Serve(tmp_path / "data", "--token-file", str(tokens)) as running:
        with pytest.raises(StoreUnavailableError, match="any:TOKEN"):
            TraceClient(running.dsn)
        with TraceClient(f"http://any:let-me-in@{running.clickhouse_http}") as client:
            assert len(client.search_traces()) == 0


def test_a_client_that_was_told_nothing_opens_the_default_store(tmp_path: Path) -> None:
    code = (
        "import clickhouse_connect, sys\n"
        "from spanhouse.schema.address import dsn\n"
        "from spanhouse.schema.tables import migrations\n"
        "client = clickhouse_connect.get_client(dsn=dsn.default_store().dsn)\n"
        "migrations.apply(lambda sql, parameters=None, /: client.query(sql, parameters=dict(parameters or {})).result_rows)\n"
        "client.close()\n"
        "from spanhouse.query import TraceClient\n"
        "with TraceClient() as found:\n"
        "    print(len(found.search_traces()))\n"
    )
    env = {**os.environ, "SPANHOUSE_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=env)
    assert (done.stdout, done.returncode) == ("0\n", 0), done.stderr


def test_a_client_that_was_told_nothing_finds_the_running_server(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANHOUSE_DATA_DIR", str(serve.data_dir))
    with TraceClient() as found, TraceClient(serve.dsn) as named:
        for client in (found, named):
            page = client.search_traces(None, "metadata.`it's` = 'a''\\\\\0\n' AND name RLIKE 'x'", max_results=1)
            assert list(page) == []


def test_an_embedded_store_that_a_server_has_open_names_the_servers_address(serve: Serve) -> None:
    code = (
        "from spanhouse.query import TraceClient\n"
        f"try:\n    TraceClient('chdb://{serve.data_dir}/store')\n"
        "except Exception as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert f"use http://{serve.clickhouse_http}" in done.stdout, done.stderr
