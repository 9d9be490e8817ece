"""Whatever the batches that spans come in, their order and repetition: models and metadata are those of a plain computation."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.support.otlp import LOCAL, REMOTE, new_trace_id, request, span
from tests.support.store import TestStore

from spanhouse.schema import vocabulary

DAY_NS = 24 * 3600 * 10**9
START = 1_700_000_000 * 10**9
MODEL = vocabulary.MODEL_ID.mlflow
COMMIT = vocabulary.GIT_COMMIT.mlflow

_SPAN = st.fixed_dictionaries(
    {
        "place": st.integers(0, 3),
        "at": st.integers(0, 5 * DAY_NS),
        "flags": st.sampled_from([LOCAL, REMOTE]),
        "resource": st.fixed_dictionaries(
            {"service.name": st.sampled_from(["a", "b"])},
            optional={
                "service.version": st.sampled_from(["1", "2"]),
                "vcs.ref.head.revision": st.sampled_from(["c1", "c2"]),
                COMMIT: st.sampled_from(["c3", ""]),
                MODEL: st.sampled_from(["m-1", "m-2"]),
                "mlflow.model.name": st.sampled_from(["bot", "rag"]),
                "mlflow.model.params.k": st.sampled_from(["1", "2"]),
            },
        ),
        "attributes": st.fixed_dictionaries(
            {},
            optional={
                "session.id": st.text("xyz", max_size=3),
                "mlflow.traceMetadata.note": st.sampled_from(["hello", "", "l" * 257]),
                f"mlflow.traceMetadata.{MODEL}": st.sampled_from(["m-1", "m-9"]),
                "http.route": st.just("/"),
            },
        ),
    }
)


@pytest.fixture(scope="module")
def engine() -> Iterator[TestStore]:
    made = TestStore()
    yield made
    made.close()


def _process(one: dict[str, Any]) -> dict[str, str]:
    """Process metadata of a span, if it may be a root: a name of our own stands under each key that only an alias sets."""
    if one["place"] and one["flags"] == LOCAL:
        return {}
    found = dict(one["resource"])
    for key in vocabulary.PROCESS_KEYS:
        aliased = next((found[alias] for alias in key.aliases if found.get(alias)), "")
        if aliased and key.mlflow not in found:
            found[key.mlflow] = aliased
    return found


def _of_trace(one: dict[str, Any]) -> dict[str, str]:
    carries = not one["place"] or one["flags"] == REMOTE or any(key.startswith("mlflow.trace") for key in one["attributes"])
    attributes = one["attributes"] if carries else {}
    found = {vocabulary.SESSION: attributes["session.id"]} if attributes.get("session.id") else {}
    prefix = vocabulary.TRACE_METADATA_PREFIX
    return found | {key.removeprefix(prefix): value for key, value in attributes.items() if key.startswith(prefix)}


def _expected(spans: Sequence[dict[str, Any]], mark: str) -> tuple[dict[tuple[str, str], tuple[date, date]], dict[str, tuple[Any, ...]]]:
    values: dict[tuple[str, str], list[date]] = defaultdict(list)
    models: dict[str, list[tuple[int, str, str, str]]] = defaultdict(list)
    for one in spans:
        at, process, trace = START + one["at"], _process(one), _of_trace(one)
        for key, value in (process | trace).items():
            if 1 <= len(value) <= 256:
                values[key, value].append(datetime.fromtimestamp(at // 10**9, UTC).date())
        commit = (process | trace).get(COMMIT, "")
        own = process.get(MODEL, "")
        for model in {own, trace.get(MODEL, "")} - {""}:
            names = (process.get("mlflow.model.name", ""), process.get("mlflow.model.params.k", "")) if model == own else ("", "")
            models[model].append((at, commit, *names))
    seen = {pair: (min(days), max(days)) for pair, days in values.items() if pair[0] != mark}
    return seen, {model: _merged(rows) for model, rows in models.items()}


def _merged(rows: Sequence[tuple[int, str, str, str]]) -> tuple[Any, ...]:
    commits = sorted((at, commit) for at, commit, _, _ in rows if commit)
    params = max(row[3] for row in rows)
    return (
        max(row[2] for row in rows),
        {"k": params} if params else {},
        min(row[0] for row in rows),
        max(row[0] for row in rows),
        commits[0][1] if commits else "",
        commits[-1][1] if commits else "",
    )


@settings(max_examples=12, deadline=None)
@given(st.lists(_SPAN, min_size=1, max_size=8), st.randoms(use_true_random=False), st.booleans())
def test_models_and_metadata_are_the_same_however_the_spans_come(
    engine: TestStore, drawn: list[dict[str, Any]], order: random.Random, merged: bool
) -> None:
    for table in ("trace_carriers", "metadata_parts", "logged_models_parts"):
        engine.client.command(f"TRUNCATE TABLE {table}")
    trace_id, mark = new_trace_id(), "telemetry.run"
    bodies = [
        request(
            [
                span(
                    trace_id=trace_id,
                    parent=b"" if one["place"] == 0 else b"elsewhere"[:8],
                    start_ns=START + one["at"],
                    flags=one["flags"],
                    attributes=one["attributes"],
                )
            ],
            # Makes the bytes of each example others than those of the ones before, which the engine would take for a repetition.
            resource={**one["resource"], mark: trace_id.hex()},
        )
        for one in drawn
    ]
    arrivals: list[ExportTraceServiceRequest] = bodies + order.sample(bodies, order.randint(0, len(bodies)))
    order.shuffle(arrivals)
    while arrivals:
        size = order.randint(1, 4)
        engine.ingest(*arrivals[:size])
        del arrivals[:size]
    if merged:
        for table in ("metadata_parts", "logged_models_parts"):
            engine.client.command(f"OPTIMIZE TABLE {table} FINAL")
    values, models = _expected(drawn, mark)
    rows = engine.rows(f"SELECT * FROM metadata_values WHERE Key != '{mark}'")
    assert {(row["Key"], row["Value"]): (row["FirstDay"], row["LastDay"]) for row in rows} == values
    listed = engine.rows(f"SELECT Key, Values, Complete FROM metadata_keys WHERE Key != '{mark}'")
    assert {row["Key"]: row["Values"] for row in listed} == {key: sum(one == key for one, _ in values) for key in {key for key, _ in values}}
    assert all(row["Complete"] for row in listed)
    found = engine.rows("SELECT *, toUnixTimestamp64Nano(FirstSeen) AS f, toUnixTimestamp64Nano(LastSeen) AS l FROM logged_models")
    assert {row["ModelId"]: (row["Name"], row["Params"], row["f"], row["l"], row["FirstCommit"], row["LastCommit"]) for row in found} == models


def test_a_key_with_thousands_of_values_keeps_256_of_a_day_and_says_so(engine: TestStore) -> None:
    engine.client.command("TRUNCATE TABLE metadata_parts")
    for batch in range(3):
        engine.ingest(request([span(start_ns=START + number, attributes={"session.id": f"s{batch}-{number}"}) for number in range(1000)]))
    for _ in range(2):
        (row,) = engine.rows("SELECT Values, Complete FROM metadata_keys WHERE Key = 'mlflow.trace.session'")
        assert row == {"Values": 256, "Complete": 0}
        engine.client.command("OPTIMIZE TABLE metadata_parts FINAL")
    assert engine.rows("SELECT count() AS n, max(length(Values)) AS most FROM metadata_parts WHERE Key = 'mlflow.trace.session'") == [
        {"n": 1, "most": 256}
    ]
