"""The analysis functions of MLflow's guide on versions and environments, written against TraceClient: their figures are exact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support import otlp
from tests.support.store import TestStore

from spanhouse.query import Comparison, Table, TraceClient

TRACES = 350
VERSIONS = {"1.0.0": 33, "1.1.0": 61}
"""Failed traces of each version, of ``TRACES``."""
SERVICE = "checkout"


@pytest.fixture(scope="module")
def client() -> Iterator[TraceClient]:
    store = TestStore()
    requests = []
    start_ns = 1_760_000_000_000_000_000
    for number in range(TRACES):
        for version, errors in VERSIONS.items():
            start_ns += 1_000_000
            # Errors come first in time, so that a page of the newest 100 would miss them.
            attributes = {"mlflow.traceMetadata.mlflow.source.type": "production", "mlflow.traceMetadata.app_version": version}
            resource = {"service.name": SERVICE, "deployment.environment.name": "staging"}
            requests.append(otlp.trace(resource=resource, attributes=attributes, children=0, start_ns=start_ns, error=number < errors))
        flag = "true" if number % 2 else "false"
        attributes = {"mlflow.traceMetadata.feature_flag_fast_path": flag}
        requests.append(
            otlp.trace(
                resource={"service.name": SERVICE}, attributes=attributes, children=0, start_ns=start_ns, duration_ns=(number + 1) * 1_000_000 + 999
            )
        )
    # The same flag elsewhere: `experiment_ids` keeps it out.
    elsewhere = {"mlflow.traceMetadata.feature_flag_fast_path": "false"}
    requests.append(otlp.trace(resource={"service.name": "other"}, attributes=elsewhere, start_ns=start_ns, duration_ns=10**12))
    store.ingest(*requests)
    with TraceClient(store.dsn) as made:
        yield made
    store.close()


def test_error_rates_of_versions_are_exact_beyond_a_page_of_100(client: TraceClient) -> None:
    def compare_version_error_rates(experiment_id: str, versions: list[str]) -> dict[str, float | None]:
        rates: dict[str, float | None] = {}
        for version in versions:
            traces = client.search_traces(
                experiment_ids=[experiment_id],
                filter_string=f"metadata.`mlflow.source.type` = 'production' AND metadata.app_version = '{version}'",
            )
            if not traces:
                rates[version] = None
                continue
            failed = sum(1 for t in traces if t.info.status == "ERROR")
            rates[version] = failed / len(traces) * 100
        return rates

    rates = compare_version_error_rates(SERVICE, [*VERSIONS, "9.9.9"])
    assert rates == {"1.0.0": 33 / TRACES * 100, "1.1.0": 61 / TRACES * 100, "9.9.9": None}
    where = f"metadata.`mlflow.source.type` = 'production' AND metadata.service.name = '{SERVICE}'"
    table = client.compare("app_version", where=where)
    assert isinstance(table, Table)
    assert {side.value: side.error_rate.value * 100 for side in table.sides} == pytest.approx({version: rates[version] for version in VERSIONS})
    assert {side.value: side.errors for side in table.sides} == VERSIONS


def test_latencies_with_a_feature_flag_on_and_off_are_exact(client: TraceClient) -> None:
    def analyze_feature_flag_performance(experiment_id: str, flag_name: str) -> dict[str, Any]:
        off = client.search_traces(experiment_ids=[experiment_id], filter_string=f"metadata.feature_flag_{flag_name} = 'false'")
        on = client.search_traces(filter_string=f"metadata.feature_flag_{flag_name} = 'true'")
        figures = {}
        for name, traces in (("off", off), ("on", on)):
            latencies = [t.info.execution_time_ms or 0 for t in traces]
            figures[f"avg_latency_{flag_name}_{name}"] = sum(latencies) / len(latencies)
        return figures

    figures = analyze_feature_flag_performance(SERVICE, "fast_path")
    assert figures == {"avg_latency_fast_path_off": 175.0, "avg_latency_fast_path_on": 176.0}
    compared = client.compare("feature_flag_fast_path", "false", "true", where=f"metadata.service.name = '{SERVICE}'")
    assert isinstance(compared, Comparison)
    sides = (compared.base, compared.new)
    assert [side.mean_execution_time_ms for side in sides] == list(figures.values())
    assert all(0 < side.means["latency"] - side.mean_execution_time_ms < 1 for side in sides), "ours is not cut to whole milliseconds"
