"""What a trace looks like to who reads it: MLflow's names, MLflow's JSON decoded, and everybody else's text untouched."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

import spanhouse.query
from spanhouse.query import Span, Trace, TraceData, TraceInfo
from spanhouse.query.sql.rows import decode_attributes, read_info
from spanhouse.schema.trace_attributes import TraceState

ROW = (
    *("0af7651916cd43dd8448eb211c80319c", 1_700_000_000_123_999_999, 1_999_999, "chat", "svc", "ERROR", 3, 1, "", "hi", ""),
    *(12, 30, None, {"app_version": "1.0.0"}, {"team": "ads"}, "b7ad6b7169203331", 0, [("svc", "1.0.0", "abc", "main", "production", 3, 1, 900_000)]),
)


def test_a_row_is_read_under_mlflows_names_new_and_old() -> None:
    info = read_info(ROW)
    assert info.trace_id == info.request_id == "tr-0af7651916cd43dd8448eb211c80319c"
    assert info.request_time == info.timestamp_ms == 1_700_000_000_123
    assert info.execution_duration == info.execution_time_ms == 1
    assert info.state is info.status is TraceState.ERROR
    assert info.status == "ERROR"
    assert info.trace_metadata == info.request_metadata == {"app_version": "1.0.0"}
    assert (info.client_request_id, info.request_preview, info.cost) == (None, "hi", None)
    (part,) = info.services
    assert (part.name, part.version, part.commit, part.branch, part.environment) == ("svc", "1.0.0", "abc", "main", "production")
    assert (part.spans, part.errors, part.self_time_ns, info.unfinished) == (3, 1, 900_000, False)


def test_a_trace_without_a_root_has_no_duration() -> None:
    info = read_info((*ROW[:-3], "", 1, []))
    assert (info.execution_duration, info.root_span_id, info.unfinished) == (None, None, True)


def test_what_mlflows_tracer_writes_as_json_is_decoded() -> None:
    attributes = {
        "mlflow.traceRequestId": '"tr-0a"',
        "mlflow.spanType": '"LLM"',
        "mlflow.spanInputs": '{"q": [1, null]}',
        "top_k": "3",
        "flag": "true",
        "torn": "[1, 2",
        "mlflow.traceTag.num": "5",
    }
    assert decode_attributes(attributes) == {
        "mlflow.traceRequestId": "tr-0a",
        "mlflow.spanType": "LLM",
        "mlflow.spanInputs": {"q": [1, None]},
        "top_k": 3,
        "flag": True,
        "torn": "[1, 2",
        "mlflow.traceTag.num": "5",
    }


def test_plain_text_of_other_tracers_is_never_broken() -> None:
    attributes = {
        "http.status_code": "200",
        "note": '"quoted"',
        "list": "[1]",
        "flag": "true",
        "mlflow.spanType": "LLM",
        "mlflow.traceMetadata.a": "1",
    }
    assert decode_attributes(attributes) == attributes


def test_spans_are_read_once_and_only_when_asked_for() -> None:
    reads: list[int] = []

    def read() -> tuple[Span, ...]:
        reads.append(1)
        return ()

    data = TraceData(read=read)
    assert "not read yet" in repr(data)
    assert not reads
    assert data.spans == data.spans == ()
    assert len(reads) == 1


def test_a_trace_goes_to_another_process_with_its_spans() -> None:
    trace = Trace(read_info(ROW), TraceData(read=lambda: ()))
    copy = pickle.loads(pickle.dumps(trace))  # noqa: S301  our own bytes
    assert copy == trace


def test_a_trace_cannot_be_changed() -> None:
    info = read_info(ROW)
    with pytest.raises(AttributeError):
        info.name = "other"  # type: ignore[misc]
    assert isinstance(info, TraceInfo)


def test_importing_the_room_loads_no_driver_and_no_table_library() -> None:
    heavy = ("clickhouse_connect", "chdb", "pandas", "numpy", "pyarrow", "polars", "grpc", "opentelemetry", "google", "rich")
    code = f"import sys, spanhouse.query; sys.exit(', '.join(name for name in {heavy!r} if name in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_public_name_is_there() -> None:
    assert {"TraceClient", "search_traces", "compile_filter", "FilterError"} <= set(spanhouse.query.__all__)
    assert all(hasattr(spanhouse.query, name) for name in spanhouse.query.__all__)
