"""Odd texts as keys, values, tags and names: every filter on one of them finds exactly its own traces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support import otlp
from tests.support.store import TestStore

from spanhouse.query import TraceClient

HOSTILE = (
    *("", " ", "a", "A", "'", "''", '"', "`", "\\", "\\\\", "\\'", "a\\", "\\%", "%", "_", "%%", "100%", "a%b", "a_b", "a\\_b", "axb"),
    *(
        "\0",
        "a\0b",
        "\n",
        "\r\n",
        "\t",
        "\x1b[0m",
        "\x7f",
        "é",
        "e\u0301",
        "É",
        "ß",
        "\u017f",
        "İ",
        "日本",
        "😀",
        "\u200b",
        "\u2028",
        "\ufeff",
        "\uffff",
    ),
    *("NULL", "\\N", "null", "None", "0", "00", "1", "1.0", "-1", "NaN", "true", "[1]", "{}", "{p0:String}", "{'a':'b'}", "$$", "--", "/* */", ";"),
    *("' OR '1'='1", "'; DROP TABLE trace_carriers; --", "x" * 5000, "a.b", "AND", "metadata.k = 'x'"),
)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _key(text: str) -> str:
    return "`" + text.replace("`", "``") + "`"


@pytest.fixture(scope="module")
def stored() -> Iterator[tuple[TraceClient, dict[str, str]]]:
    """One trace for each text: it is the value of a metadata key and of a tag, the name of another key, and the trace's name."""
    store = TestStore()
    traces = {}
    requests = []
    for text in HOSTILE:
        attributes = {"mlflow.traceMetadata.value": text, "mlflow.traceTag.value": text, f"mlflow.traceMetadata.key {text}": "here"}
        request = otlp.trace(name=text, attributes=attributes, resource={"service.name": text, "own": text}, children=0)
        requests.append(request)
        traces[text] = f"tr-{request.resource_spans[0].scope_spans[0].spans[0].trace_id.hex()}"
    store.ingest(*requests)
    with TraceClient(store.dsn) as client:
        yield client, traces
    store.close()


@pytest.mark.parametrize("field", ["metadata.value", "tag.value", "metadata.own", "tag.mlflow.traceName"])
def test_a_value_is_found_by_itself_and_by_nothing_else(stored: tuple[TraceClient, dict[str, str]], field: str) -> None:
    client, traces = stored
    texts = HOSTILE if field == "metadata.value" else HOSTILE[::3]
    found = {text: [trace.info.trace_id for trace in client.search_traces(filter_string=f"{field} = {_quoted(text)}")] for text in texts}
    # A trace whose root has no name has none: not even '' finds it by its name.
    nameless = {""} if field == "tag.mlflow.traceName" else set()
    assert found == {text: [] if text in nameless else [traces[text]] for text in texts}


def test_not_equal_finds_all_the_others(stored: tuple[TraceClient, dict[str, str]]) -> None:
    client, traces = stored
    for text in HOSTILE[::7]:
        found = {trace.info.trace_id for trace in client.search_traces(filter_string=f"metadata.value != {_quoted(text)}")}
        assert found == set(traces.values()) - {traces[text]}


def test_an_odd_key_is_found_by_itself_and_by_nothing_else(stored: tuple[TraceClient, dict[str, str]]) -> None:
    client, traces = stored
    found = {
        text: [trace.info.trace_id for trace in client.search_traces(filter_string=f"metadata.{_key('key ' + text)} IS NOT NULL")] for text in HOSTILE
    }
    assert found == {text: [trace_id] for text, trace_id in traces.items()}


def test_all_odd_values_at_once_are_found_by_in(stored: tuple[TraceClient, dict[str, str]]) -> None:
    client, traces = stored
    some = [text for text in HOSTILE if len(text) < 100]
    listed = ", ".join(map(_quoted, some))
    found = {trace.info.trace_id for trace in client.search_traces(filter_string=f"metadata.value IN ({listed})")}
    assert found == {traces[text] for text in some}
    rest = {trace.info.trace_id for trace in client.search_traces(filter_string=f"tag.value NOT IN ({listed})")}
    assert rest == set(traces.values()) - found


def test_a_pattern_whose_wildcards_are_escaped_finds_the_text_alone(stored: tuple[TraceClient, dict[str, str]]) -> None:
    client, traces = stored
    for text in HOSTILE:
        pattern = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        found = [trace.info.trace_id for trace in client.search_traces(filter_string=f"metadata.value LIKE {_quoted(pattern)}")]
        assert found == [traces[text]], text


def test_services_with_odd_names_are_told_apart(stored: tuple[TraceClient, dict[str, str]]) -> None:
    client, traces = stored
    found = {text: [trace.info.trace_id for trace in client.search_traces([text])] for text in HOSTILE}
    assert found == {text: [trace_id] for text, trace_id in traces.items()}


def test_values_come_back_as_they_were_sent(stored: tuple[TraceClient, dict[str, str]]) -> None:
    client, traces = stored
    infos = {trace.info.trace_id: trace.info for trace in client.search_traces()}
    for text, trace_id in traces.items():
        info = infos[trace_id]
        assert (info.name, info.experiment_id, info.tags["value"], info.trace_metadata["value"]) == (text, text, text, text)
        assert info.trace_metadata[f"key {text}"] == "here"


def test_pages_by_an_odd_value_hold_every_trace_once(stored: tuple[TraceClient, dict[str, str]]) -> None:
    client, traces = stored
    found: list[str] = []
    token = None
    while True:
        page = client.search_traces(max_results=9, order_by=["metadata.value DESC"], page_token=token)
        found += [trace.info.trace_metadata["value"] for trace in page]
        token = page.token
        if token is None:
            break
    assert found == sorted(traces, key=str.encode, reverse=True)
