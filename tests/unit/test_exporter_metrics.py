"""The metrics that stand in the documentation are those that exist, and they add up over several processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from spanhouse.exporter import metrics
from spanhouse.exporter.errors import TooLargeError, UnavailableError

OPERATING = (Path(__file__).parents[2] / "docs" / "operate.md").read_text()
ROW = re.compile(r"^\| `(spanhouse_\w+)` \| (\w+) \| ([^|]*) \| ([^|]+) \|$", re.MULTILINE)


def declared() -> list[tuple[str, str, str, str]]:
    found = []
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found.append((name, family.type, ", ".join(f"`{label}`" for label in metric._labelnames), family.documentation.rstrip(".")))
    return found


def test_every_metric_stands_in_the_documentation_as_it_is_declared() -> None:
    assert ROW.findall(OPERATING) == declared()


def test_names_that_the_documentation_uses_elsewhere_exist() -> None:
    names = {name for name, *_ in declared()}
    assert set(re.findall(r"`(spanhouse_\w+)`", OPERATING)) <= names


def test_an_error_is_counted_under_its_own_name() -> None:
    def count(reason: str) -> float:
        return metrics.registry().get_sample_value("spanhouse_refused_requests_total", {"transport": "grpc", "reason": reason}) or 0

    before = count("too_large"), count("unavailable")
    metrics.refused("grpc", TooLargeError(""))
    metrics.refused("grpc", UnavailableError("", 1.0))
    metrics.refused("grpc", UnavailableError("", 1.0))
    assert (count("too_large"), count("unavailable")) == (before[0] + 1, before[1] + 2)


def test_several_processes_are_one_in_what_they_count(tmp_path: Path) -> None:
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    receive = "from spanhouse.exporter import metrics; metrics.acknowledged('http', 5); metrics.SPOOL_BYTES.set(7)"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", receive], env=env, check=True, timeout=60)
    scrape = "from spanhouse.exporter import metrics; print(metrics.exposition('')[0].decode())"
    text = subprocess.run([sys.executable, "-c", scrape], env=env, check=True, timeout=60, capture_output=True, text=True).stdout
    samples = {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}
    assert samples["spanhouse_requests_total"] == 2
    assert samples["spanhouse_spans_total"] == 10
    assert samples["spanhouse_build_info"] == 1
