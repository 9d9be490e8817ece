"""Lists of metadata and models: all that rows of traces ever said, whatever the batches that spans come in, their order and repetition."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

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


ROWS = "SELECT toUnixTimestamp64Nano(Timestamp) AS at, Metadata, ModelId, GitCommit FROM traces"
Row = tuple[int, dict[str, str], str, str]
"""Start in Unix nanoseconds, metadata, model and commit of a trace."""


def _values(rows: Sequence[Row], mark: str) -> dict[tuple[str, str], tuple[date, date]]:
    days: dict[tuple[str, str], list[date]] = defaultdict(list)
    for at, metadata, _, _ in rows:
        for key, value in metadata.items():
            if key != mark and 1 <= len(value) <= 256:
                days[key, value].append(datetime.fromtimestamp(at // 10**9, UTC).date())
    return {pair: (min(found), max(found)) for pair, found in days.items()}


def _models(rows: Sequence[Row]) -> dict[str, tuple[Any, ...]]:
    of: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row[2]:
            of[row[2]].append(row)
    return {model: _merged(found) for model, found in of.items()}


def _merged(rows: Sequence[Row]) -> tuple[Any, ...]:
    commits = sorted((at, commit) for at, _, _, commit in rows if commit)
    params = max(metadata.get("mlflow.model.params.k", "") for _, metadata, _, _ in rows)
    return (
        max(metadata.get("mlflow.model.name", "") for _, metadata, _, _ in rows),
        {"k": params} if params else {},
        min(at for at, *_ in rows),
        max(at for at, *_ in rows),
        commits[0][1] if commits else "",
        commits[-1][1] if commits else "",
    )


@settings(max_examples=int(os.environ.get("SPANHOUSE_TEST_EXAMPLES", "6")), deadline=None)
@given(st.lists(_SPAN, min_size=1, max_size=8), st.randoms(use_true_random=False), st.booleans())
def test_lists_have_what_rows_said_at_any_time_however_the_spans_come(
    module_store: TestStore, drawn: list[dict[str, Any]], order: random.Random, merged: bool
) -> None:
    for table in ("spanhouse_trace_parts", "spanhouse_trace_rows", "spanhouse_metadata", "spanhouse_models"):
        module_store.client.command(f"TRUNCATE TABLE {table}")
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
    seen: list[Row] = []
    while arrivals:
        size = order.randint(1, 4)
        module_store.ingest(*arrivals[:size])
        del arrivals[:size]
        seen += [(row["at"], row["Metadata"], row["ModelId"], row["GitCommit"]) for row in module_store.rows(ROWS)]
    if merged:
        for table in ("spanhouse_metadata", "spanhouse_models"):
            module_store.client.command(f"OPTIMIZE TABLE {table} FINAL")
    values = _values(seen, mark)
    rows = module_store.rows(f"SELECT * FROM metadata_values WHERE Key != '{mark}'")
    assert {(row["Key"], row["Value"]): (row["FirstDay"], row["LastDay"]) for row in rows} == values
    listed = module_store.rows(f"SELECT Key, Values, Complete FROM metadata_keys WHERE Key != '{mark}'")
    assert {row["Key"]: row["Values"] for row in listed} == {key: sum(one == key for one, _ in values) for key in {key for key, _ in values}}
    assert all(row["Complete"] for row in listed)
    found = module_store.rows("SELECT *, toUnixTimestamp64Nano(FirstSeen) AS f, toUnixTimestamp64Nano(LastSeen) AS l FROM logged_models")
    assert {row["ModelId"]: (row["Name"], row["Params"], row["f"], row["l"], row["FirstCommit"], row["LastCommit"]) for row in found} == _models(seen)


def test_a_key_with_thousands_of_values_keeps_256_of_a_day_and_says_so(module_store: TestStore) -> None:
    module_store.client.command("TRUNCATE TABLE spanhouse_metadata")
    for batch in range(3):
        module_store.ingest(request([span(start_ns=START + number, attributes={"session.id": f"s{batch}-{number}"}) for number in range(1000)]))
    for _ in range(2):
        (row,) = module_store.rows("SELECT Values, Complete FROM metadata_keys WHERE Key = 'mlflow.trace.session'")
        assert row == {"Values": 256, "Complete": 0}
        module_store.client.command("OPTIMIZE TABLE spanhouse_metadata FINAL")
    assert module_store.rows("SELECT count() AS n, max(length(Values)) AS most FROM spanhouse_metadata WHERE Key = 'mlflow.trace.session'") == [
        {"n": 1, "most": 256}
    ]
