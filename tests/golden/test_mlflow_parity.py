"""The same traces and questions as MLflow was asked, and the same answers; where they differ, the reason is here.

MLflow's answers are on file; ``python -m tests.golden.record_mlflow`` asks it anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from tests.golden.record_mlflow import ANSWERS
from tests.support import otlp, parity
from tests.support.store import TestStore

from spanhouse.query import FilterError, TraceClient
from spanhouse.query.language.resolver import read_filter
from spanhouse.query.sql.resolved_search import Search
from spanhouse.query.sql.selects import conditions
from spanhouse.query.sql.statement import Parameters

Answer = str | list[int]
RECORDED: Mapping[str, Any] = json.loads(ANSWERS.read_text(encoding="utf-8"))
TOGETHER = 60
"""Filters that one statement asks for."""

REFUSED = "INVALID_PARAMETER_VALUE"
OF_TEXT = r"(request_metadata|metadata|tags?)\.\S+( key`)?|name|trace\.name|run_id"

# Where MLflow refuses and this project answers: what the language has on top.
SUPERSET: Mapping[str, tuple[str, ...]] = {
    "IN for every key": (rf"({OF_TEXT}) (NOT )?IN \(.+\)",),
    "order for metadata, tags and attributes": (
        r"((request_metadata|metadata|tags?)\.\S+( key`)?|run_id|span\.type) < .+",
        r"metadata\.app_version > '1\.9\.2'",
    ),
    "numbers against texts that are numbers": (r"((request_metadata|metadata|tags?)\.\S+( key`)?|run_id|span\.type) = 10",),
    "IS NULL for every key": (r"(\S*status|client_request_id|request_id|timestamp|span\.\w+) IS (NOT )?NULL",),
    "OR, NOT and parentheses": (r"status = 'OK' OR .+", r"NOT .+", r"\(.+\)"),
    "further names": (r"(span\.kind|span\.duration_ms|resource|cost|session|user)\b.+",),
    "every operator for what a span says": (r"(trace\.)?text = 'x'",),
    "times": (r"timestamp > now\(\) - 1h",),
    "timestamp is timestamp_ms, which takes fractions and quoted numbers": (r"timestamp \S+ 1760000050000\.5", r"timestamp > '1760000050000'"),
}

# Where both answer, or the error is another: accidents of MLflow's, and what is decided otherwise.
OTHERWISE: Mapping[str, tuple[str, ...]] = {
    "a backslash before a quote is an escape": (r"(metadata|tag)\.note \S+ 'a\\'", r"metadata\.note = 'it\\'s'"),
    "a doubled quote stands for one": (r"metadata\.note = 'it''s'",),
    "ILIKE knows more letters than ASCII's": (r"(metadata|tag)\.note ILIKE '[éÉ]'",),
    "a number beyond 64 bits is a number": (r"\w+ > 99999999999999999999",),
    "every run_id counts, not the last one": (r"run_id = 'run-aaaa' AND run_id = 'run-bbbb'",),
    "an attribute is compared itself, not searched for in JSON": (r"span\.attributes\.model (=|!=|IN|LIKE) \(?'gpt\S+",),
    "a key stays the key of its entity": (r"metadata\.name = '(v1|chat)'", r"tag\.run_id = 'v1'"),
    "a mistake is the user's, never an internal error": (r"status IN \(OK\)",),
    "an empty key is quoted": (r"metadata\. = 'x'",),
}
ORDERS_OTHERWISE: Mapping[str, str] = {
    '["end_time DESC"]': "MLflow fails with an internal error",
    '["timestamp", "timestamp_ms"]': "MLflow fails with an internal error",
    '["cost"]': "a further name",
}


def _numbers(ranges: str) -> list[int]:
    bounds = [(int(first), int(last or first)) for first, _, last in (piece.partition("-") for piece in ranges.split())]
    return [number for first, last in bounds for number in range(first, last + 1)]


def _recorded(text: str) -> Answer:
    answer = RECORDED["filters"][text]
    return str(answer["error"]) if isinstance(answer, dict) else _numbers(answer)


@pytest.fixture(scope="module")
def store(module_store: TestStore) -> TestStore:
    requests = []
    for trace in parity.traces():
        root = {f"mlflow.traceMetadata.{key}": value for key, value in trace.metadata.items()}
        root |= {f"mlflow.traceTag.{key}": value for key, value in trace.tags.items()}
        root |= {"mlflow.traceClientRequestId": trace.client_request_id} if trace.client_request_id else {}
        requests.append(otlp.request(trace.otlp_spans(root), resource={"service.name": "parity"}))
    module_store.ingest(*requests)
    return module_store


@pytest.fixture(scope="module")
def ours(store: TestStore) -> dict[str, Answer]:
    """What this project answers to every filter that MLflow was asked."""
    answers: dict[str, Answer] = {}
    read = {}
    for text in RECORDED["filters"]:
        try:
            read[text] = read_filter(text)
        except FilterError as error:
            answers[text] = error.error_code
    texts = list(read)
    for first in range(0, len(texts), TOGETHER):
        parameters = Parameters()
        some = texts[first : first + TOGETHER]
        judged = [" AND ".join(["1", *conditions(Search(predicate=read[text]), parameters)]) for text in some]
        bound = {name: list(value) if isinstance(value, tuple) else value for name, value in parameters.bound().items()}
        rows = store.execute(f"SELECT TraceId, [{', '.join(judged)}] FROM spanhouse_trace_rows FINAL", bound)
        for place, text in enumerate(some):
            answers[text] = sorted(bytes.fromhex(trace_id)[1] for trace_id, row in rows if row[place])
    return answers


def test_mlflow_was_asked_what_is_asked_here() -> None:
    assert list(RECORDED["filters"]) == parity.filters()
    assert [tuple(json.loads(order)) for order in RECORDED["orders"]] == list(parity.ORDERS)
    assert len(RECORDED["filters"]) >= 300


def test_filters_find_what_they_find_in_mlflow_or_differ_for_a_reason_that_is_named(ours: dict[str, Answer]) -> None:
    unexplained = []
    used = set()
    for text, answer in ours.items():
        recorded = _recorded(text)
        if answer == recorded:
            continue
        reasons = SUPERSET if recorded == REFUSED and answer != REFUSED else OTHERWISE
        patterns = [pattern for patterns in reasons.values() for pattern in patterns if re.fullmatch(pattern, text, re.DOTALL)]
        used.update(patterns)
        if len(patterns) != 1:
            unexplained.append((text, recorded, answer, patterns))
    assert unexplained == []
    assert {pattern for reasons in (SUPERSET, OTHERWISE) for patterns in reasons.values() for pattern in patterns} == used


@pytest.mark.parametrize("order", RECORDED["orders"])
def test_an_order_is_mlflows(store: TestStore, order: str) -> None:
    found: Answer
    with TraceClient(store.dsn) as client:
        try:
            page = client.search_traces(order_by=json.loads(order), max_results=1000)
            found = [bytes.fromhex(trace.info.trace_id.removeprefix("tr-"))[1] for trace in page]
        except FilterError as error:
            found = error.error_code
    assert (found != RECORDED["orders"][order]) is (order in ORDERS_OTHERWISE)
