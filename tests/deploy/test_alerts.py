"""The alerts' names are those of the metrics and of the documentation. What they say of metrics over time is `make alerts`, by promtool."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase
from tests.support.kubernetes import DEPLOY

from spanhouse.exporter import metrics

RULES = (DEPLOY / "alerts" / "spanhouse.rules.yaml").read_text()
TESTS = (DEPLOY / "alerts" / "spanhouse.tests.yaml").read_text()
DOCUMENTATION = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()
ALERTS = re.findall(r"- alert: (\w+)\n", RULES)
ON_A_SCRAPE = {"job", "instance"}
SERIES = re.compile(r"(spanhouse_\w+)(?:\{([^}]*)\})?")
LABEL = re.compile(r'(\w+)(?:=|!=)"([^"]*)"')


def samples() -> dict[str, set[str]]:
    """The names of all samples that a scrape may hold, and their labels."""
    found: dict[str, set[str]] = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            labels = set(metric._labelnames)
            if isinstance(metric, Histogram):
                found |= {f"{family.name}_bucket": labels | {"le"}, f"{family.name}_sum": labels, f"{family.name}_count": labels}
            else:
                found[f"{family.name}_total" if family.type == "counter" else family.name] = labels
    return found


def test_alerts_look_at_metrics_that_exist() -> None:
    known = samples()
    expressions = re.findall(r"expr: (.+?)\n        (?:for|labels):", RULES, re.DOTALL)
    assert len(expressions) == len(ALERTS) == len(set(ALERTS))
    for expression in expressions:
        for name, labels in SERIES.findall(expression):
            assert {label for label, _ in LABEL.findall(labels)} <= known[name]
        used = {label.strip() for names in re.findall(r"by \(([^)]*)\)", expression) for label in names.split(",")}
        assert used <= {label for name, _ in SERIES.findall(expression) for label in known[name]} | ON_A_SCRAPE


def test_the_metrics_that_alerts_are_tested_with_exist() -> None:
    known = samples()
    buckets = {f"{metric._name}_bucket": set(map(str, metric._upper_bounds)) for metric in vars(metrics).values() if isinstance(metric, Histogram)}
    series = re.findall(r"series: '(spanhouse_\w+)\{([^}]*)\}'", TESTS)
    assert series
    for name, text in series:
        labels = dict(LABEL.findall(text))
        assert labels.keys() - ON_A_SCRAPE == known[name]
        if "le" in labels:
            assert str(float(labels["le"].replace("+Inf", "inf"))) in buckets[name]


def test_each_alert_fires_in_one_test_and_is_silent_in_another() -> None:
    silent = set(re.findall(r"\{eval_time: \w+, alertname: (\w+)\}", TESTS))
    fires = set(re.findall(r"alertname: (\w+)\n +exp_alerts:", TESTS))
    assert silent == fires == set(ALERTS)


def test_each_alert_is_explained_where_it_points() -> None:
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^## (.+)$", DOCUMENTATION, re.MULTILINE)}
    assert re.findall(r"runbook: docs/alerts\.md#(\S+)", RULES) == [alert.lower() for alert in ALERTS]
    assert {alert.lower() for alert in ALERTS} | {"a-new-version-is-worse"} == headings
    severities = dict(re.findall(r"^\| \[(\w+)\]\(#\w+\) \| (\w+) \|", DOCUMENTATION, re.MULTILINE))
    assert severities == dict(re.findall(r"- alert: (\w+)\n.*?severity: (\w+)", RULES, re.DOTALL))
