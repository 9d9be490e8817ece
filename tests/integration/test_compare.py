"""Comparison of versions on a real engine: the figures are those of the traces, and the verdict follows from them."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import otlp
from tests.support.store import TestStore

from spanhouse.cli import main
from spanhouse.query import Comparison, FilterError, Table, TraceClient, Verdict, plot_comparison
from spanhouse.query.compare.question import read_question

START_NS = 1_760_000_000_000_000_000
TRACES = 400
OLD, NEW = "a" * 40, "b" * 40
SERVICE = "shop"


def traces() -> list[Any]:
    """The new commit's checkout takes twice as long and fails more often; its front page is as it was, to the microsecond: no false alarms here."""
    requests = []
    for number in range(TRACES):
        took, failing, tokens = random.lognormvariate(0, 0.4), random.random(), random.randint(100, 200)
        for commit in (OLD, NEW):
            checkout = number % 2 == 0
            worse = checkout and commit == NEW
            attributes = {
                "mlflow.traceMetadata.app_version": "1" if commit == OLD else "2",
                "mlflow.traceMetadata.score": f"{random.gauss(5, 1):.3f}",
                "mlflow.traceMetadata.note": "it's",
                "gen_ai.usage.input_tokens": tokens,
                "gen_ai.usage.output_tokens": 10,
            }
            requests.append(
                otlp.trace(
                    name="POST /checkout" if checkout else "GET /",
                    resource={"service.name": SERVICE, "mlflow.source.git.commit": commit, "mlflow.source.type": "production"},
                    attributes=attributes,
                    start_ns=START_NS + number * 1_000_000_000,
                    duration_ns=int(took * (100_000_000 if worse else 50_000_000)),
                    error=failing < (0.2 if worse else 0.01),
                )
            )
    return requests


@pytest.fixture(scope="module")
def store(module_store: TestStore) -> TestStore:
    module_store.ingest(*traces())
    return module_store


@pytest.fixture(scope="module")
def client(store: TestStore) -> Iterator[TraceClient]:
    with TraceClient(store.dsn) as made:
        yield made


def clone_of_commits(directory: Path, count: int) -> list[str]:
    """A git repository of so many commits, the oldest first."""
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run([*git, "init", "--quiet"], cwd=directory, check=True)
    for number in range(count):
        subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", str(number)], cwd=directory, check=True)
    listed = subprocess.run([*git, "log", "--reverse", "--format=%H"], cwd=directory, check=True, capture_output=True, text=True)
    return listed.stdout.split()


def compared(client: TraceClient, *words: Any, **options: Any) -> Comparison:
    found = client.compare(*words, **options)
    assert isinstance(found, Comparison)
    return found


def test_the_table_has_the_figures_that_mlflow_s_guide_computes_from_all_traces(client: TraceClient) -> None:
    table = client.compare("app_version", where="metadata.`mlflow.source.type` = 'production'")
    assert isinstance(table, Table)
    assert [side.value for side in table.sides] == ["1", "2"]
    for side in table.sides:
        found = client.search_traces(experiment_ids=[SERVICE], filter_string=f"metadata.app_version = '{side.value}'")
        latencies = [trace.info.execution_time_ms or 0 for trace in found]
        assert side.traces == len(found) == TRACES
        assert side.errors == sum(trace.info.status == "ERROR" for trace in found)
        assert side.error_rate.value == side.errors / side.traces
        assert side.error_rate.low <= side.error_rate.value <= side.error_rate.high
        assert 0 <= side.means["latency"] - statistics.fmean(latencies) < 1, "the guide's latencies are cut to whole milliseconds"
        assert side.means["input tokens"] == statistics.fmean(trace.info.input_tokens or 0 for trace in found)
        for level, quantile in side.quantiles["latency"].items():
            assert int(quantile.value) == sorted(latencies)[int(level * TRACES)]
            assert quantile.low <= quantile.value <= quantile.high


def test_a_worse_commit_is_called_worse_with_its_reason_and_with_filters_that_find_examples(client: TraceClient) -> None:
    found = compared(client, "commit", "aaaa", "bbbb")
    assert (found.base.value, found.new.value) == (OLD, NEW)
    assert found.verdict is Verdict.WORSE
    by_metric = {finding.metric: finding for finding in found.findings}
    assert by_metric["error rate"].verdict is by_metric["latency p95"].verdict is Verdict.WORSE
    assert by_metric["output tokens p50"].verdict is Verdict.NO_EVIDENCE
    for finding in found.findings:
        if finding.verdict is Verdict.WORSE:
            assert "before" in finding.reason
            examples = client.search_traces(filter_string=finding.examples)
            assert examples
            assert {trace.info.trace_metadata["mlflow.source.git.commit"] for trace in examples} == {NEW}
    assert {trace.info.status for trace in client.search_traces(filter_string=by_metric["error rate"].examples)} == {"ERROR"}


def test_slices_say_which_endpoint_got_worse_and_how_much_it_contributes(client: TraceClient) -> None:
    found = compared(client, "commit", OLD, NEW, per="name")
    assert found.per == "name"
    verdicts = {(finding.slice, finding.metric): finding.verdict for finding in found.slices}
    assert verdicts["POST /checkout", "latency p95"] is verdicts["POST /checkout", "error rate"] is Verdict.WORSE
    assert {verdict for (name, _), verdict in verdicts.items() if name == "GET /"} == {Verdict.NO_EVIDENCE}
    first = found.slices[0]
    assert first.slice == "POST /checkout"
    examples = client.search_traces(filter_string=first.examples)
    assert {trace.info.name for trace in examples} == {"POST /checkout"}
    errors = {finding.slice: finding.contribution or 0 for finding in found.slices if finding.metric == "error rate"}
    assert sum(errors.values()) == pytest.approx((found.new.errors - found.base.errors) / TRACES)


def test_what_else_differs_is_named() -> None:
    store = TestStore()
    requests = []
    for number in range(200):
        for version in ("1", "2"):
            resource = {
                "app_version": version,
                "host.name": f"host-{number % 3 if version == '1' else 0}",
                "mlflow.source.git.dirty": str(version == "2").lower(),
            }
            name = "GET /" if number % 10 < (2 if version == "1" else 8) else "POST /slow"
            start_ns = START_NS + (number + (0 if version == "1" else 12 * 3600)) * 1_000_000_000
            requests.append(
                otlp.trace(
                    name=name, resource=resource, start_ns=start_ns, duration_ns=(number // 10 % 4 + 1) * (10**6 if name == "GET /" else 10**8)
                )
            )
    store.ingest(*requests)
    with TraceClient(store.dsn) as client:
        plain, fair = (compared(client, "version", "1", "2", stratify=stratify) for stratify in (None, "name"))
    assert plain.verdict is Verdict.BETTER, "the new version has more requests of the fast endpoint"
    assert fair.verdict is Verdict.NO_EVIDENCE, "and each endpoint is as fast as it was"
    said = "\n".join(fair.confounds)
    assert "the mix of name differs: GET / has 20.0 % of the traces of 1 and 80.0 % of 2" in said or "POST /slow has 80.0 %" in said
    assert "different times of the day" in said
    assert "2 ran on one host alone, host-0" in said
    assert "100.0 % of the traces of 2 ran code with uncommitted changes" in said
    store.close()


def test_few_traces_are_too_little_data_whatever_they_look_like(client: TraceClient) -> None:
    found = compared(client, "commit", OLD, NEW, where=f"timestamp_ms < {START_NS // 1_000_000 + 20_000}")
    assert found.base.traces == 20
    assert found.verdict is Verdict.TOO_LITTLE_DATA
    assert "too few" in found.reason


def test_a_number_of_the_metadata_is_compared_when_it_is_asked_for(client: TraceClient) -> None:
    found = compared(client, "version", "1", "2", metrics=["score:higher"])
    score = next(finding for finding in found.findings if finding.metric == "metadata.score p50")
    assert score.base is not None
    assert 4.5 < score.base.value < 5.5


def test_values_with_quotes_and_backslashes_are_found_by_the_filters_that_name_them() -> None:
    store = TestStore()
    awkward = ("it's \\'so\\' \"x\" \\", "100% `a`\\\\")
    store.ingest(
        *(
            otlp.trace(attributes={"mlflow.traceMetadata.my key": value}, error=number % 2 == 0, start_ns=START_NS + number)
            for number in range(80)
            for value in awkward
        )
    )
    with TraceClient(store.dsn) as client:
        found = compared(client, "my key", *awkward)
        errors = found.findings[0]
        assert len(client.search_traces(filter_string=errors.examples)) == found.new.errors == 40
    store.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("app_version", "1"), "one value is no comparison"),
        (("app_version", "1", "1"), "compared with itself"),
        (("app_version", "1", "9"), "no trace has metadata.app_version = '9'"),
        (("execution_time_ms",), "no trace"),
        (("attribute.execution_time_ms",), "tells no versions apart"),
        (("app_version", "1", "2", "stat = 'x'"), "unknown attribute"),
    ],
)
def test_a_mistake_in_what_is_asked_is_one_line(client: TraceClient, arguments: tuple[str, ...], said: str) -> None:
    if said == "no trace":
        assert client.compare(*arguments).sides == []  # type: ignore[union-attr]
        return
    with pytest.raises(FilterError, match=said):
        client.compare(*arguments)


def test_since_is_a_length_of_time() -> None:
    assert read_question("app_version", since="7d").since_ns is not None
    with pytest.raises(FilterError, match="no length of time"):
        read_question("app_version", since="yesterday")


def test_the_command_prints_every_form_and_its_exit_code_says_whether_it_got_worse(store: TestStore, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "--by", "commit", OLD, NEW, "--store", store.dsn]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert f"{NEW[:7]} is worse\n  error rate: " in printed
    assert "see (error rate): spanhouse search" in printed
    assert main([*words, "--fail-on-regression"]) == 1
    assert main([*words, "--fail-on-regression", "--max-error-increase", "90%", "--max-p95-increase", "900"]) == 1, "the median got worse, too"
    tolerant = ["--max-error-increase", "90%", "--max-p95-increase", "900%", "--max-p50-increase", "900%"]
    assert main([*words, "--fail-on-regression", *tolerant]) == 0
    assert main(["compare", NEW, OLD, "--by", "commit", "--store", store.dsn, "--fail-on-regression"]) == 0
    capsys.readouterr()
    assert main([*words, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "worse"
    assert main([*words, "--format", "markdown"]) == 0
    assert capsys.readouterr().out.startswith(f"### {NEW} against {OLD}: worse")
    assert main(["compare", "--store", store.dsn, "--format", "csv"]) == 0
    assert [line.partition(",")[0] for line in capsys.readouterr().out.splitlines()] == ["value", "1", "2"]
    assert main(["compare", "--by", "nothing", "--store", store.dsn]) == 1
    assert main(["compare", "1", "--store", store.dsn]) == 2
    assert main(["compare", "--fail-on-regression", "--store", store.dsn]) == 2
    assert main(["compare", "1", "2", "--max-p95-increase", "lots", "--store", store.dsn]) == 2


def test_the_version_at_which_errors_and_latency_rose_is_found_in_the_order_of_the_history(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The third commit is deployed last, once more; one that was never pushed is seen after the sixth."""
    store = TestStore()
    commits, local = clone_of_commits(tmp_path, 7), "e" * 40
    deployed = [*commits[:2], *commits[3:6], local, commits[6], commits[2]]
    requests: list[Any] = []
    for place, commit in enumerate(deployed):
        bad = commit in {*commits[4:], local}
        for number in range(150):
            start_ns = START_NS + (place * 200 + number) * 1_000_000_000
            took_ns = int(random.lognormvariate(0, 0.3) * (200_000_000 if bad else 100_000_000))
            error = random.random() < (0.3 if bad else 0.02)
            requests.append(
                otlp.trace(resource={"mlflow.source.git.commit": commit}, start_ns=start_ns, duration_ns=took_ns, error=error, children=0)
            )
    store.ingest(*requests)
    with TraceClient(store.dsn) as client:
        assert list(client.bisect("git.commit").versions) == deployed
        found = client.bisect("git.commit", repository=tmp_path)
        assert list(found.versions) == [*commits[:6], local, commits[6]]
        assert (found.history, list(found.strangers)) == (str(tmp_path), [local])
        assert {(change.metric.partition(" ")[0], change.value, change.previous, change.verdict) for change in found.changes} == {
            ("error", commits[4], commits[3], Verdict.WORSE),
            ("traces", commits[4], commits[3], Verdict.WORSE),
        }
        assert all(change.confidence > 0.9 for change in found.changes[:2])
        examples = client.search_traces(filter_string=found.changes[0].examples)
        assert {(trace.info.status, trace.info.trace_metadata["mlflow.source.git.commit"]) for trace in examples} == {("ERROR", commits[4])}
    words = ["bisect", "--by", "commit", "--repository", str(tmp_path), "--store", store.dsn]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert f"8 values of metadata.mlflow.source.git.commit in the order of the history in {tmp_path}" in printed
    assert "not in that history, so put where they were first seen: eeeeeee" in printed
    assert f"{commits[4][:7]}: error rate worse than up to {commits[3][:7]}" in printed
    for form in ("json", "csv", "markdown"):
        assert main([*words, "--format", form]) == 0
        assert commits[4][:7] in capsys.readouterr().out
    assert main(["bisect", "--by", "nothing", "--store", store.dsn]) == 1
    store.close()


SAID = {
    "gen_ai.response.time_to_first_chunk": 0.001,
    "gen_ai.server.time_to_first_token": 0.001,
    "ai.response.msToFirstChunk": 1.0,
    "First Token Stream Event": None,
    "gen_ai.content.completion.chunk": None,
}
"""Attribute, and the part of its unit that a millisecond is; or event."""


def test_the_time_to_the_first_token_is_compared_however_spans_tell_it() -> None:
    """A trace counts by the mean of its streamed answers; its other spans, and a span that came twice, change nothing."""
    store = TestStore()
    store.ingest(*(request for service, scale in SAID.items() for request in streaming(service, scale)))
    with TraceClient(store.dsn) as client:
        for service, scale in SAID.items():
            found = compared(client, "version", "1", "2", where=f"metadata.service.name = '{service}'")
            median, slowest = (finding for finding in found.findings if finding.metric.startswith("time to first token"))
            assert (median.metric, median.unit, median.verdict) == ("time to first token p50", "ms", Verdict.WORSE)
            assert median.base is not None
            assert median.new is not None
            assert (round(median.base.value, 3), round(median.new.value, 3)) == (160, 320)
            assert slowest.metric == "time to first token p95"
            examples = client.search_traces(filter_string=median.examples)
            assert {trace.info.trace_metadata["app_version"] for trace in examples} == {"2"}
            assert len(examples) == 120 if scale is None else 0 < len(examples) <= 120
    store.close()


def streaming(said: str, scale: float | None) -> Iterator[Any]:
    """Traces of a service of that name, which says so when its two answers began, 100 ms apart; those of version 2 take twice as long."""
    for number in range(120):
        for version in ("1", "2"):
            trace_id, root = otlp.new_trace_id(), otlp.new_span_id()
            start_ns = START_NS + number * 10**9
            first = (number + 100) * (2 if version == "2" else 1)
            spans = [otlp.span("POST /chat", trace_id=trace_id, span_id=root, start_ns=start_ns, duration_ns=10**9)]
            for took_ms in (first - 50, first + 50):
                attributes = {} if scale is None else {said: took_ms * scale}
                answer = otlp.span("chat", trace_id=trace_id, parent=root, start_ns=start_ns, duration_ns=5 * 10**8, attributes=attributes)
                if scale is None:
                    for more_ms in (0, 40):  # an event for each chunk
                        answer.events.add(name=said, time_unix_nano=start_ns + (took_ms + more_ms) * 10**6)
                spans.append(answer)
            spans.append(otlp.span("save", trace_id=trace_id, parent=root, start_ns=start_ns))
            yield otlp.request([*spans, spans[1]], resource={"service.name": said, "app_version": version})


def test_any_number_of_spans_and_of_the_trace_is_compared_when_it_is_asked_for() -> None:
    store = TestStore()
    requests = []
    for number in range(200):
        for version in ("1", "2"):
            trace_id, root = otlp.new_trace_id(), otlp.new_span_id()
            scores = {"eval-score": number % 7 / 10 + (0.1 if version == "1" else 0), "llm.note": "none", "llm.odd": float("nan")}
            spans = [
                otlp.span(trace_id=trace_id, span_id=root, start_ns=START_NS + number, attributes={"gen_ai.usage.output_tokens": number + 1}),
                otlp.span("judge", trace_id=trace_id, parent=root, start_ns=START_NS + number, attributes=scores),
            ]
            requests.append(otlp.request(spans, resource={"app_version": version}))
    store.ingest(*requests)
    asked = ["span.attributes.eval-score:higher", "span.attributes.`llm.note`", "span.attributes.llm.odd", "tokens.output", "span.attributes.x' OR 1"]
    with TraceClient(store.dsn) as client:
        found = compared(client, "version", "1", "2", metrics=asked)
        named = {finding.metric: finding for finding in found.findings}
        score, tokens = named["span.attributes.`eval-score` p50"], named["tokens.output p50"]
        assert (score.verdict, tokens.verdict) == (Verdict.WORSE, Verdict.NO_EVIDENCE)
        assert score.base is not None
        assert score.base.value == pytest.approx(0.4)
        assert {trace.info.trace_metadata["app_version"] for trace in client.search_traces(filter_string=score.examples)} == {"2"}
        assert tokens.new is not None
        assert tokens.new.value == 101
        assert not any("note" in name or "odd" in name or "OR 1" in name for name in named), "what has no number is not there"
    store.close()


def test_a_comparison_and_a_table_are_drawn(store: TestStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "--store", store.dsn, "--plot"]
    pair, table = tmp_path / "pair.svg", tmp_path / "table.png"
    assert main([*words, str(pair), "1", "2"]) == 0
    assert capsys.readouterr().err == f"spanhouse: the picture is in {pair}\n"
    drawn = pair.read_text(encoding="utf-8")
    for text in ("2 against 1, by metadata.app_version: worse", "1 (400 traces)", "error rate, 95 % interval", "time (UTC)"):
        assert text in drawn
    assert main([*words, str(table)]) == 0
    assert table.read_bytes().startswith(b"\x89PNG")
    assert main([*words, str(tmp_path / "picture.gif")]) == 2
    assert main([*words, str(tmp_path / "missing" / "picture.png")]) == 2
    capsys.readouterr()
    assert main(["compare", "--by", "nothing", "--store", store.dsn, "--plot", str(tmp_path / "nothing.png")]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pair.svg", "table.png"]


def test_what_is_drawn_is_what_the_traces_are(client: TraceClient) -> None:
    found = compared(client, "version", "1", "2", series=True)
    assert found.series is not None
    durations = [(trace.info.execution_time_ms or 0) + 0.5 for trace in client.search_traces(filter_string="metadata.app_version = '2'")]
    of_new = [one for one in found.series.bins if one.value == "2"]
    assert sum(one.traces for one in of_new) == TRACES
    slowest = max(of_new, key=lambda one: one.high_ms)
    assert slowest.low_ms - 1 <= max(durations) <= slowest.high_ms + 1
    assert sum(period.traces for period in found.series.periods) == 2 * TRACES
    assert sum(period.errors for period in found.series.periods if period.value == "2") == found.new.errors
    with pytest.raises(FilterError, match="nothing to draw"):
        plot_comparison(compared(client, "version", "1", "2"), "x.png")


def test_values_that_look_like_markup_are_drawn_as_they_are(tmp_path: Path) -> None:
    store = TestStore()
    values = ("$\\frac{1}{0$ <b>&", "日本\nzwei\x07 $x^")
    store.ingest(*(otlp.trace(resource={"app_version": value}, start_ns=START_NS + number) for number in range(40) for value in values))
    with TraceClient(store.dsn) as client:
        plot_comparison(compared(client, "version", *values, series=True), tmp_path / "x.svg")
    drawn = (tmp_path / "x.svg").read_text(encoding="utf-8")
    assert "$\\frac{1}{0$ &lt;b&gt;&amp; (40 traces)" in drawn
    assert "日本 zwei $x^ (40 traces)" in drawn
    store.close()


def test_two_traces_are_aligned_and_the_span_that_took_the_time_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    store = TestStore()
    ids = []
    for slow in (False, True):
        trace_id, root = otlp.new_trace_id(), otlp.new_span_id()
        ids.append(trace_id.hex())
        length = 300 if slow else 100
        # Name, start and length in ms. "load" comes twice; the second trace's second one is the slow one, and "rank" is new.
        parts = [("load", 10, 20), ("load", 30, 220 if slow else 20), *([("rank", 250, 30)] if slow else [("old", 60, 10)])]
        spans = [otlp.span(trace_id=trace_id, span_id=root, start_ns=START_NS, duration_ns=length * 10**6)]
        spans += [
            otlp.span(name, trace_id=trace_id, parent=root, start_ns=START_NS + start * 10**6, duration_ns=took * 10**6, error=name == "rank")
            for name, start, took in parts
        ]
        store.ingest(otlp.request(spans))
    with TraceClient(store.dsn) as client:
        found = client.diff(*ids)
        figures = {(pair.depth, pair.name, pair.base_ns, pair.new_ns): pair.self_change_ns // 10**6 for pair in found.pairs}
        assert figures == {
            (0, "root", 100 * 10**6, 300 * 10**6): -20,
            (1, "load", 20 * 10**6, 20 * 10**6): 0,
            (1, "load", 20 * 10**6, 220 * 10**6): 200,
            (1, "old", 10 * 10**6, None): -10,
            (1, "rank", None, 30 * 10**6): 30,
        }
        assert sum(figures.values()) == 200, "what changed in the spans themselves is what changed of the whole"
        with pytest.raises(FilterError, match="no trace"):
            client.diff(ids[0], "f" * 32)
    assert main(["diff", *ids, "--store", store.dsn]) == 0
    printed = capsys.readouterr().out
    assert "more time was spent in: load +200 ms, rank +30 ms (new)" in printed
    assert "- -> ERROR" in printed
    for form in ("json", "csv", "markdown"):
        assert main(["diff", *ids, "--format", form, "--store", store.dsn]) == 0
        assert "rank" in capsys.readouterr().out
    store.close()


def test_spans_that_are_each_other_s_parents_are_aligned_once_each() -> None:
    store = TestStore()
    ids = []
    for _ in range(2):
        trace_id, one, two = otlp.new_trace_id(), otlp.new_span_id(), otlp.new_span_id()
        ids.append(trace_id.hex())
        store.ingest(
            otlp.request([otlp.span("a", trace_id=trace_id, span_id=one, parent=two), otlp.span("b", trace_id=trace_id, span_id=two, parent=one)])
        )
    with TraceClient(store.dsn) as client:
        assert sorted(pair.name for pair in client.diff(*ids).pairs) in (["a", "b"], ["a", "a", "b", "b"]), (
            "as both circles are opened at the same name or not"
        )
    store.close()
