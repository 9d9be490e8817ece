"""Versions of services below the root, versions that crash, and what spans tell, asked through the command.

Traces come as strangers' do: in pieces, the root last, and with a clock of the called service that is an hour slow.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.support import otlp
from tests.support.store import TestStore

from spanhouse.cli import main
from spanhouse.query import Comparison, FilterError, Table, TraceClient, Verdict
from spanhouse.schema.settle import remake, settle

START_NS = 1_760_000_000_000_000_000
HOUR_NS = 3600 * 10**9
TRACES = 400
EDGE, OLD, NEW = "a1" * 20, "b1" * 20, "b2" * 20


def shop() -> Iterator[list[Any]]:
    """Pieces of traces `edge -> pay`: edge stays at one commit, and pay's new one fails more often, which edge puts up with."""
    pieces: tuple[list[Any], ...] = ([], [], [])
    for number in range(2 * TRACES):
        commit, rate = (OLD, 0.016) if number < TRACES else (NEW, 0.134)
        at, trace_id, root, call = START_NS + number * 10**9, otlp.new_trace_id(), otlp.new_span_id(), otlp.new_span_id()
        pay = {"service.name": "pay", "service.version": "7", "vcs.ref.head.revision": commit, "vcs.ref.head.name": "main"}
        edge = {"service.name": "edge", "service.version": "1", "vcs.ref.head.revision": EDGE}
        charge = otlp.span(
            "charge",
            trace_id=trace_id,
            parent=call,
            start_ns=at - HOUR_NS,
            duration_ns=5_000_000,
            error=random.random() < rate,
            attributes={"feature.flag": "on" if number % 2 else "off", "order": f"order {number}"},
            flags=otlp.REMOTE,
        )
        pieces[0].append(otlp.request([charge], resource=pay))
        pieces[1].append(otlp.request([otlp.span("call", trace_id=trace_id, span_id=call, parent=root, start_ns=at, kind=3)], resource=edge))
        pieces[2].append(otlp.request([otlp.span("POST /buy", trace_id=trace_id, span_id=root, start_ns=at, duration_ns=9_000_000)], resource=edge))
    yield from pieces


@pytest.fixture(scope="module")
def store(module_store: TestStore) -> TestStore:
    for piece in shop():
        module_store.ingest(*piece)
    return module_store


@pytest.fixture(scope="module")
def client(store: TestStore) -> Iterator[TraceClient]:
    with TraceClient(store.dsn) as made:
        yield made


def printed(capsys: pytest.CaptureFixture[str], store: TestStore, *words: str, code: int = 0) -> str:
    assert main([*words, "--store", store.dsn]) == code
    found = capsys.readouterr()
    return found.err if code else found.out


def test_the_commit_of_a_service_below_the_root_is_blamed(store: TestStore, client: TraceClient, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--where", "name = 'POST /buy'")
    alone = printed(capsys, store, "bisect", "--by", "commit", *where)
    assert "one value alone" in alone
    assert "--service NAME" in alone
    for by in ("commit", "resource.vcs.ref.head.revision"):
        said = printed(capsys, store, "bisect", "--by", by, "--service", "pay", *where)
        assert f"{NEW[:7]}: error rate worse than up to {OLD[:7]}" in said
        assert "spanhouse search --service pay" in said
    (change, *_) = (one for one in client.bisect("commit", service="pay").changes if one.metric == "error rate")
    assert (change.previous, change.value, change.verdict) == (OLD, NEW, Verdict.WORSE)
    examples = client.search_traces(filter_string=change.examples, service="pay")
    failed = {part.commit for trace in examples for part in trace.info.services if part.errors}
    assert failed == {NEW}
    assert {trace.info.status for trace in examples} == {"OK"}, "the traces as a whole are fine"


def test_a_service_is_compared_by_its_own_errors_and_time_beside_those_of_the_whole_traces(
    store: TestStore, client: TraceClient, capsys: pytest.CaptureFixture[str]
) -> None:
    found = client.compare("commit", "b1b1", "b2b2", service="pay")
    assert isinstance(found, Comparison)
    figures = store.rows(
        "SELECT ResourceAttributes['vcs.ref.head.revision'] AS commit, count() AS spans, countIf(StatusCode = 'Error') AS errors "
        "FROM otel_traces WHERE ServiceName = 'pay' GROUP BY commit"
    )
    assert {side.value: (side.traces, side.errors, side.trace_errors) for side in (found.base, found.new)} == {
        row["commit"]: (row["spans"], row["errors"], 0) for row in figures
    }
    by_metric = {finding.metric: finding for finding in found.findings}
    assert by_metric["error rate"].verdict is Verdict.WORSE
    assert by_metric["self time p50"].verdict is Verdict.NO_EVIDENCE
    own, whole = by_metric["self time p50"].new, by_metric["trace latency p50"].new
    assert own is not None
    assert whole is not None
    assert (own.value, whole.value) == (5, 9)
    assert {by_metric[name].verdict for name in ("trace error rate", "trace latency p50")} == {None}, "they are shown and not judged"
    words = ("compare", "--by", "commit", "--service", "pay", "b1b1", "b2b2")
    said = printed(capsys, store, *words)
    assert "the part that pay took" in said
    assert "b2b2b2b is worse" in said
    assert main([*words, "--fail-on-regression", "--store", store.dsn]) == 1
    capsys.readouterr()
    table = printed(capsys, store, "compare", "--by", "commit", "--service", "pay", "--format", "csv")
    assert [line.split(",")[:3] for line in table.splitlines()[1:]] == [
        [side.value, str(TRACES), str(side.errors)] for side in (found.base, found.new)
    ]


def test_a_search_of_a_service_shows_its_own_version_beside_the_whole_trace(
    store: TestStore, client: TraceClient, capsys: pytest.CaptureFixture[str]
) -> None:
    filters = (
        "status = 'ERROR' AND git.commit = 'b2b2'",
        "(status = 'ERROR' OR span.name = 'none') AND git.commit LIKE 'b2%' AND name = 'POST /buy'",
    )
    failing = f"ServiceName = 'pay' AND StatusCode = 'Error' AND ResourceAttributes['vcs.ref.head.revision'] = '{NEW}'"
    ((failed,),) = store.execute(f"SELECT count() FROM otel_traces WHERE {failing}")
    assert [client.count(text, service="pay") for text in filters] == [failed, failed]
    assert client.count("execution_time_ms = 5", service="pay") == client.count("execution_time_ms = 9") == 2 * TRACES
    assert client.count("metadata.app_version = '7' AND metadata.`vcs.ref.head.name` IS NOT NULL", service="pay") == 2 * TRACES
    assert client.count("metadata.app_version = '7'") == client.count("metadata.app_version = '1'", service="pay") == 0
    first, *_ = printed(capsys, store, "search", "--service", "pay", filters[0], "--limit", "1").splitlines()[1:]
    assert [NEW[:7], "1", "5", "ms", "POST", "/buy", "OK", "9", "ms"] == first.split()[-9:]
    assert "did you mean 'pay'?" in printed(capsys, store, "search", "--service", "pai", code=2)


def test_a_service_that_took_part_with_two_versions_counts_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    store = TestStore()
    for number in range(40):
        root = otlp.span("root", start_ns=START_NS + number * 10**9, duration_ns=50_000_000)
        requests = [otlp.request([root], resource={"service.name": "edge"})]
        for version, error in (("1", False), ("2", number % 2 == 0)):
            for host in ("h1", "h2"):
                below = otlp.span("work", trace_id=root.trace_id, parent=root.span_id, start_ns=START_NS, error=error, flags=otlp.REMOTE)
                resource = {"service.name": "pay", "service.version": version, "host.name": host, "deployment.environment.name": f"on {host}"}
                requests.append(otlp.request([below], resource=resource))
        store.ingest(*requests)
    with TraceClient(store.dsn) as client:
        table = client.compare("version", service="pay")
        assert isinstance(table, Table)
        assert [(side.value, side.traces, side.errors, side.means["spans"]) for side in table.sides] == [("1", 40, 0, 2), ("2", 40, 20, 2)]
        by_name = client.compare("name", service="pay")
        assert isinstance(by_name, Table)
        assert [(side.value, side.traces, side.errors) for side in by_name.sides] == [("root", 40, 20)]
        failing = client.compare("environment", service="pay", where="metadata.app_version = '2' AND status = 'ERROR'")
        assert isinstance(failing, Table)
        assert [(side.value, side.traces, side.errors) for side in failing.sides] == [("on h1", 20, 20), ("on h2", 20, 20)]
        assert client.count("metadata.app_version = '1' AND status = 'ERROR'", service="pay") == 0, "both are asked of one of its versions"
        assert client.count("metadata.app_version = '2' AND status = 'ERROR'", service="pay") == 20
    assert len(printed(capsys, store, "search", "--service", "pay", "--limit", "1").splitlines()) == 5, "a head, and a line for each"
    store.close()


def test_versions_are_told_by_spans_where_there_are_few(store: TestStore, client: TraceClient, monkeypatch: pytest.MonkeyPatch) -> None:
    table = client.compare("span.attributes.feature.flag")
    assert isinstance(table, Table)
    assert {side.value: side.traces for side in table.sides} == {"on": TRACES, "off": TRACES}
    narrowed = client.compare("span.attributes.feature.flag", where=f"timestamp_ms < {START_NS // 10**6 + 10_000}")
    assert isinstance(narrowed, Table)
    assert {side.value: side.traces for side in narrowed.sides} == {"on": 5, "off": 5}
    pair = client.compare("resource.vcs.ref.head.revision", OLD, NEW)
    assert isinstance(pair, Comparison)
    assert (pair.base.traces, pair.new.traces, pair.base.errors, pair.new.errors) == (TRACES, TRACES, 0, 0)
    assert client.compare("span.attributes.order").to_dict()["sides"]
    monkeypatch.setattr("spanhouse.query.compare.run.MOST_DIFFERENT", 2 * TRACES - 1)
    with pytest.raises(FilterError, match=r"span\.attributes\.order has more than 799 values: it tells no versions apart"):
        client.compare("span.attributes.order")
    with pytest.raises(FilterError, match="more than 799 values"):
        client.bisect("span.attributes.order", service="pay")
    with pytest.raises(FilterError, match="needs a key"):
        client.compare("resource.")


def crashing(first_ns: int, service: str, commit: str, *, crashes: bool) -> tuple[list[Span], list[Span]]:
    """Spans of one request: what is sent on the way, and the root, which never ends in a process that crashes."""
    root = otlp.span("job", start_ns=first_ns, duration_ns=20_000_000)
    step = otlp.span("step", trace_id=root.trace_id, parent=root.span_id, start_ns=first_ns + 10**6)
    return [step], [] if crashes else [root]


def test_a_version_that_crashes_is_worse_and_found_by_its_commit(capsys: pytest.CaptureFixture[str]) -> None:
    store = TestStore()
    pieces: tuple[list[Any], list[Any]] = ([], [])
    for number in range(2 * TRACES):
        commit = OLD if number < TRACES else NEW
        resource = {"service.name": "worker", "service.version": "1" if commit == OLD else "2", "vcs.ref.head.revision": commit}
        spans = crashing(START_NS + number * 10**9, "worker", commit, crashes=commit == NEW and number % 8 == 0)
        for piece, some in zip(pieces, spans, strict=True):
            piece.append(otlp.request(some, resource={**resource, "deployment.environment.name": "production"}))
    for piece in pieces:
        store.ingest(*piece)
    running = otlp.span("step", parent=otlp.new_span_id(), start_ns=START_NS + 2 * TRACES * 10**9)
    remake.age(store.execute, quiet_seconds=0)
    store.ingest(otlp.request([running], resource={"service.name": "worker", "vcs.ref.head.revision": NEW}))
    crashed = TRACES // 8
    with TraceClient(store.dsn) as client:
        assert client.count("status = 'IN_PROGRESS'") == crashed + 1
        assert client.count("unfinished = 'true'") == crashed, "the one that still runs is none"
        assert client.count(f"unfinished = 'true' AND git.commit = '{NEW}' AND metadata.`mlflow.source.type` = 'production'") == crashed
        assert client.group_by("unfinished") == {"false": 2 * TRACES - crashed + 1, "true": crashed}
        assert client.values("mlflow.source.git.commit") == {OLD: TRACES, NEW: TRACES + 1}
        for service in (None, "worker"):
            found = client.compare("commit", "b1", "b2", service=service)
            assert isinstance(found, Comparison)
            assert (found.base.unfinished, found.new.unfinished) == (0, crashed)
            (finding,) = (one for one in found.findings if one.metric == "unfinished")
            assert (finding.verdict, found.verdict) == (Verdict.WORSE, Verdict.WORSE)
            assert client.count(finding.examples, service=service) == crashed
        settle.Settler(store.execute).feed()
        listed = client.keys()
        assert "vcs.ref.head.revision" in [found.key for found in listed]
    assert "unfinished" in printed(capsys, store, "compare", "--by", "commit", "b1", "b2")
    assert main(["compare", "--by", "commit", "b1", "b2", "--fail-on-regression", "--store", store.dsn]) == 1
    capsys.readouterr()
    assert f"{NEW[:7]}: unfinished worse than up to {OLD[:7]}" in printed(capsys, store, "bisect", "--by", "commit")
    rows = [line.split() for line in printed(capsys, store, "compare", "--by", "commit").splitlines()]
    assert {row[0]: row[3] for row in rows[1:]} == {OLD: "0", NEW: str(crashed)}
    said = printed(capsys, store, "search", "git.commit = 'b2b2'", "--limit", "500")
    assert f"{crashed} of these are unfinished" in said
    assert "unfinished" not in printed(capsys, store, "search", "git.commit = 'b1b1'")
    store.close()


def test_an_end_that_comes_late_makes_a_trace_whole_again() -> None:
    store = TestStore()
    (step,), (root,) = crashing(START_NS, "worker", OLD, crashes=False)
    store.ingest(otlp.request([step]))
    remake.age(store.execute, quiet_seconds=0)
    with TraceClient(store.dsn) as client:
        assert client.count("unfinished = 'true'") == 1
        store.ingest(otlp.request([root]))
        assert (client.count("unfinished = 'true'"), client.count("unfinished = 'false'")) == (0, 1)
    store.close()


def test_exceptions_of_spans_are_asked_for_on_one_span() -> None:
    store = TestStore()
    raised = {"a": ("TimeoutError", "took 5 s"), "b": ("KeyError", "'id'")}
    for name, (kind, message) in raised.items():
        failing = otlp.span(name, error=True, start_ns=START_NS)
        failing.events.add(name="exception", attributes=otlp.key_values({"exception.type": kind, "exception.message": message}))
        other = otlp.span("fine", trace_id=failing.trace_id, parent=failing.span_id, start_ns=START_NS, attributes={"mlflow.spanType": '"LLM"'})
        store.ingest(otlp.request([failing, other]))
    found = {
        "span.exception.type = 'TimeoutError'": ["a"],
        "span.exception.type != 'TimeoutError'": ["b"],
        "span.exception.type IN ('KeyError', 'TimeoutError') AND span.exception.message LIKE 'took%'": ["a"],
        "span.exception.message LIKE '%id%' AND span.name = 'fine'": [],
        "span.exception.type IS NULL AND span.name = 'a'": [],
        "span.exception.type IS NULL AND span.type = 'LLM'": ["a", "b"],
        "NOT span.exception.type RLIKE '^Key'": ["a"],
        "tokens.total < 100": [],
        "NOT tokens.total < 100": ["a", "b"],
    }
    with TraceClient(store.dsn) as client:
        assert {text: sorted(trace.info.name for trace in client.search_traces(filter_string=text)) for text in found} == found
    store.close()


def test_types_of_errors_and_models_are_those_of_some_span() -> None:
    """Rows that have them are written as they are: what makes them of spans is not asked here."""
    store = TestStore()
    lists = {"none": ([], ""), "one": (["TimeoutError"], "took 5 s"), "two": (["KeyError", "TimeoutError"], "'id'")}
    for name, (types, message) in lists.items():
        store.ingest(otlp.trace(name=name, start_ns=START_NS))
        changed = "Version + 1 AS Version, {types:Array(String)} AS ErrorTypes, {types:Array(String)} AS Models, {message:String} AS ErrorMessage"
        store.execute(
            f"INSERT INTO spanhouse_trace_rows SELECT * REPLACE ({changed}) FROM spanhouse_trace_rows FINAL WHERE Name = {{name:String}}",
            {"types": types, "message": message, "name": name},
        )
    found = {
        "error.type = 'TimeoutError'": ["one", "two"],
        "error.type != 'TimeoutError'": ["two"],
        "error.type IN ('KeyError', 'x')": ["two"],
        "error.type NOT IN ('KeyError', 'x')": ["one", "two"],
        "error.type LIKE 'Key%' AND error.message LIKE '%id%'": ["two"],
        "error.type IS NULL": ["none"],
        "NOT error.type = 'KeyError'": ["none", "one"],
        "error.message IS NULL": ["none"],
        "model = 'KeyError'": ["two"],
        "model ILIKE 'timeout%'": ["one", "two"],
    }
    with TraceClient(store.dsn) as client:
        assert {text: sorted(trace.info.name for trace in client.search_traces(filter_string=text)) for text in found} == found
        assert client.group_by("error.type") == {"TimeoutError": 2, "KeyError": 1, None: 1}
        table = client.compare("model")
        assert isinstance(table, Table)
        assert {side.value: side.traces for side in table.sides} == {"TimeoutError": 2, "KeyError": 1}
        with pytest.raises(FilterError, match="cannot be ordered"):
            client.search_traces(order_by=["error.type"])
    store.close()


def test_doctor_names_the_keys_that_a_scrubber_takes(capsys: pytest.CaptureFixture[str]) -> None:
    store = TestStore()
    taken = {"session.id": "[Scrubbed due to 'session']", "user.id": "ada", "note": "[Scrubbed due to 'x']"}
    store.ingest(*(otlp.trace(attributes=taken, children=0) for _ in range(3)))
    assert main(["doctor", "--store", store.dsn]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "scrubber" in line]
    assert len(said) == 1
    assert "a scrubber took session.id of 3 of the newest 100,000 spans" in said[0]
    assert "ScrubbingOptions" in said[0]
    store.close()
