"""Grafana's dashboards and alert: every query runs on a real store, through the endpoint that only reads, and shows what is there."""

from __future__ import annotations

import hashlib
import json
import re
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf.message import Message
from tests.deploy.test_alerts import SERIES, samples
from tests.support.clickhouse_http import Endpoint, listening
from tests.support.grafana import ALL, Viewed, expressions
from tests.support.kubernetes import DEPLOY
from tests.support.otlp import REMOTE, new_span_id, request, span
from tests.support.store import TestStore

GRAFANA = DEPLOY / "grafana"
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))}
DATASOURCES = {path.stem: path.read_text() for path in (GRAFANA / "provisioning" / "datasources").glob("*.yaml")}
REGRESSION = (GRAFANA / "provisioning" / "alerting" / "regression.yaml").read_text()
CLICKHOUSE = "grafana-clickhouse-datasource"
HOUR = 3600
NOW = int(time.time())
BYS = ("version", "commit", "branch", "model")


@dataclass(frozen=True)
class Version:
    """Requests that a version of a service got in the hour that began so many hours ago."""

    service: str
    version: str
    hours_ago: int
    requests: int
    errors: int
    environment: str = "production"
    called: bool = False
    """By another service, whose spans are not here."""

    @property
    def commit(self) -> str:
        return hashlib.sha256(f"{self.service} {self.version}".encode()).hexdigest()[:40]


VERSIONS = (
    Version("shop", "1.0.0", 4, 100, 2),
    Version("shop", "1.1.0", 2, 100, 20),
    Version("mail", "2.0", 4, 100, 5),
    Version("mail", "2.1", 2, 100, 6),
    Version("little", "3.0", 4, 100, 0),
    Version("little", "3.1", 2, 10, 10),
    Version("lone", "4.0", 4, 60, 30, environment="it's a test"),
    Version("stock", "5.0", 4, 50, 5, called=True),
)


def received(version: Version) -> Message:
    """Its requests, a second apart, each with a model's call below."""
    spans = []
    for number in range(version.requests):
        begun = (NOW - version.hours_ago * HOUR + number) * 10**9
        root = span("GET /cart", start_ns=begun, duration_ns=(number + 1) * 10**7, error=number < version.errors)
        if version.called:
            root.parent_span_id, root.flags = new_span_id(), REMOTE
        usage = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20, "gen_ai.usage.cost": 0.5}
        spans += [root, span("chat", trace_id=root.trace_id, parent=root.span_id, start_ns=begun + 1000, attributes=usage)]
    resource = {
        "service.name": version.service,
        "service.version": version.version,
        "vcs.ref.head.revision": version.commit,
        "vcs.ref.head.name": "main",
        "mlflow.modelId": f"m-{version.version}",
        "deployment.environment.name": version.environment,
    }
    return request(spans, resource=resource)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    made = TestStore()
    made.ingest(*map(received, VERSIONS))
    with listening(made.database) as found:
        yield found
    made.close()


def ask(endpoint: Endpoint, sql: str) -> list[dict[str, Any]]:
    answer = endpoint.ask(f"{sql}\nFORMAT JSON", fields={"output_format_json_quote_64bit_integers": "0"})
    assert answer.status == 200, answer.body.decode()
    found: list[dict[str, Any]] = json.loads(answer.body)["data"]
    return found


# As the plugin's driver asks over HTTP.
DRIVER = {"default_format": "Native", "client_protocol_version": "54460", "max_execution_time": "25", "enable_http_compression": "1"}


def viewed(by: str = "version", service: Sequence[str] = (ALL,), environment: Sequence[str] = (ALL,), hours: int = 24) -> Viewed:
    return Viewed(since=NOW - hours * HOUR, until=NOW, interval=HOUR, variables={"by": (by,), "service": service, "environment": environment})


def panel(dashboard: str, title: str) -> Mapping[str, Any]:
    (found,) = (panel for panel in DASHBOARDS[dashboard]["panels"] if panel["title"] == title)
    return found  # type: ignore[no-any-return]


def shown(endpoint: Endpoint, dashboard: str, title: str, view: Viewed) -> list[dict[str, Any]]:
    return ask(endpoint, view.sql(panel(dashboard, title)["targets"][0]["rawSql"]))


def statements() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every target that asks the store: of panels, variables and annotations."""
    for name, dashboard in DASHBOARDS.items():
        for one in dashboard["panels"]:
            for target in one["targets"]:
                if target["datasource"]["type"] == CLICKHOUSE:
                    yield f"{name}: {one['title']}", {**target, "panel": one["type"]}
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query" and variable["datasource"]["type"] == CLICKHOUSE:
                yield f"{name}: ${variable['name']}", {**variable["query"], "panel": "variable"}
        for annotation in dashboard["annotations"]["list"]:
            yield f"{name}: {annotation['name']}", {**annotation["target"], "panel": "annotation"}


STATEMENTS = dict(statements())


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_query_shows_something_whatever_is_chosen(endpoint: Endpoint, name: str) -> None:
    target = STATEMENTS[name]
    rows = []
    for by in BYS if "${by" in target["rawSql"] else BYS[:1]:
        rows = ask(endpoint, viewed(by).sql(target["rawSql"]))
        assert rows, by
    chosen = ask(endpoint, viewed(service=("shop", "mail"), environment=("production",)).sql(target["rawSql"]))
    native = endpoint.ask(viewed().sql(target["rawSql"]), fields=DRIVER, headers={"Accept-Encoding": "gzip"})
    assert (native.status, native.headers["content-encoding"], native.headers["x-clickhouse-format"]) == (200, "gzip", "Native")
    assert chosen
    assert rows[0].keys() == chosen[0].keys()
    if target["panel"] == "timeseries":
        time_column, label, value = rows[0]
        assert (time_column, target["format"]) == ("time", 0)
        assert label in {"version", "service"}
        assert isinstance(rows[0][value], float | int)
        assert panel(*name.split(": ", 1))["fieldConfig"]["defaults"]["displayName"] == f"${{__field.labels.{label}}}"
    else:
        assert target["format"] == 1


def test_a_quote_in_a_choice_stays_in_it(endpoint: Endpoint) -> None:
    found = shown(endpoint, "spanhouse-versions", "Versions, the newest first", viewed(environment=("it's a test",)))
    assert [row["version"] for row in found] == ["4.0"]


def test_the_table_of_versions_has_their_rates_with_intervals(endpoint: Endpoint) -> None:
    new, old = shown(endpoint, "spanhouse-versions", "Versions, the newest first", viewed(service=("shop",)))
    assert (old["version"], old["requests"], old["error_rate"]) == ("1.0.0", 100, 0.02)
    assert (new["version"], new["requests"], new["error_rate"]) == ("1.1.0", 100, 0.2)
    # Wilson's interval of 20 in 100.
    assert (new["at_least"], new["at_most"]) == (pytest.approx(0.1334, abs=1e-3), pytest.approx(0.2888, abs=1e-3))
    assert new["p95"] == pytest.approx(0.95e9, rel=0.02)


@pytest.mark.parametrize(
    ("by", "of"),
    [
        ("version", lambda one: one.version),
        ("commit", lambda one: one.commit[:12]),
        ("branch", lambda _: "main"),
        ("model", lambda one: f"m-{one.version}"),
    ],
)
def test_versions_are_told_apart_by_what_is_chosen(endpoint: Endpoint, by: str, of: Any) -> None:
    found = shown(endpoint, "spanhouse-versions", "Versions, the newest first", viewed(by))
    assert {row["version"] for row in found} == {of(one) for one in VERSIONS}


def test_tokens_and_cost_are_those_of_the_view_traces(endpoint: Endpoint) -> None:
    found = shown(endpoint, "spanhouse-versions", "Tokens and cost", viewed())
    wanted = ask(
        endpoint,
        "SELECT Metadata['app_version'] AS version, count() AS traces, sum(InputTokens) AS input_tokens, sum(OutputTokens) AS output_tokens,"
        " sum(Cost) AS cost, cost / traces AS cost_per_trace FROM traces GROUP BY version ORDER BY version",
    )
    assert found == wanted
    assert found[0]["input_tokens"] == 100 * found[0]["traces"]


def test_a_deployment_is_marked_where_its_commit_first_appears(endpoint: Endpoint) -> None:
    (annotation,) = DASHBOARDS["spanhouse-versions"]["annotations"]["list"]
    found = ask(endpoint, viewed(service=("shop",), hours=3).sql(annotation["target"]["rawSql"]))
    newest = VERSIONS[1]  # the version before it was there when the range began
    assert [row["text"] for row in found] == [f"shop: version 1.1.0 commit {newest.commit[:12]}"]
    assert found[0].keys() == {"time", "title", "text", "tags"}


def test_failures_are_listed_with_the_traces_id(endpoint: Endpoint) -> None:
    found = shown(endpoint, "spanhouse-services", "Newest failures", viewed(service=("little",)))
    assert len(found) == 10
    assert {(row["service"], row["operation"], row["version"]) for row in found} == {("little", "GET /cart", "3.1")}
    assert re.fullmatch("tr-[0-9a-f]{32}", found[0]["trace_id"])


def test_the_alert_fires_for_the_version_that_is_worse_and_no_other(endpoint: Endpoint) -> None:
    sql = textwrap.dedent(re.split(r"rawSql: \|\n", REGRESSION)[1].split("          - refId: B")[0])
    assert "$" not in REGRESSION  # Grafana would look for a variable of its environment
    rises = {(row["service"], row["version"]): row["rise"] for row in ask(endpoint, sql)}
    # mail's differs by chance, little's new version has too few requests, lone has nothing to be compared with.
    assert rises == {("shop", "1.1.0"): pytest.approx(18), ("mail", "2.1"): 0, ("little", "3.1"): 0, ("lone", "4.0"): 0, ("stock", "5.0"): 0}


def test_panels_ask_datasources_that_are_provisioned() -> None:
    provisioned = {(re.search(r"type: (\S+)", text)[1], re.search(r"uid: (\S+)", text)[1]) for text in DATASOURCES.values()}  # type: ignore[index]
    for dashboard in DASHBOARDS.values():
        used = [target["datasource"] for one in dashboard["panels"] for target in (one, *one["targets"])]
        used += [one["datasource"] for one in (*dashboard["templating"]["list"], *dashboard["annotations"]["list"]) if "datasource" in one]
        assert {(each["type"], each["uid"]) for each in used} <= provisioned
    assert set(re.findall(r"datasourceUid: (\S+)", REGRESSION)) == {"spanhouse", "__expr__"}


def test_compose_gives_what_the_provisioning_asks_for() -> None:
    compose = (DEPLOY / "compose.yaml").read_text()
    asked = set(re.findall(r"\$(\w+)", "".join(DATASOURCES.values())))
    given = set(re.findall(r"^      (\w+): ", compose, re.MULTILINE)) | {"CLICKHOUSE_PASSWORD"}  # which make_secrets.py writes
    assert asked <= given
    version = re.search(r"GF_INSTALL_PLUGINS: grafana-clickhouse-datasource (\S+)", compose)
    assert version
    assert f"version: {version[1]}\n" in DATASOURCES["spanhouse"]
    provider = re.search(r"path: (\S+)", (GRAFANA / "provisioning" / "dashboards" / "spanhouse.yaml").read_text())
    assert provider
    assert f"./grafana/dashboards:{provider[1]}:ro" in compose


def test_panels_do_not_cover_each_other_and_have_numbers_of_their_own() -> None:
    for name, dashboard in DASHBOARDS.items():
        assert (dashboard["uid"], dashboard["title"][:11]) == (name, "Spanhouse: ")
        places = [one["gridPos"] for one in dashboard["panels"]]
        cells = [(x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]
        assert len(cells) == len(set(cells))
        assert max(x for x, _ in cells) < 24
        assert len({one["id"] for one in dashboard["panels"]}) == len(places)


def test_the_receivers_dashboard_has_every_metric_and_none_that_does_not_exist() -> None:
    known = samples()
    asked = set()
    for expression in expressions(DASHBOARDS.values()):
        for name, labels in SERIES.findall(expression):
            asked.add(re.sub("_(bucket|sum|count)$", "", name))
            assert set(re.findall(r"(\w+)=~?", labels)) <= known[name] | {"job", "instance"}
        used = {label.strip() for names in re.findall(r"by \(([^)]*)\)", expression) for label in names.split(",")}
        assert used <= {label for name, _ in SERIES.findall(expression) for label in known[name]} | {"job", "instance"}
    assert asked == {re.sub("_(bucket|sum|count)$", "", name) for name in known}
