"""Asks MLflow the questions of ``tests.support.parity`` and writes its answers down: ``python -m tests.golden.record_mlflow``.

It runs in an environment of its own, with the whole of MLflow and its SQLite store; the test reads what it wrote.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.support import parity
from tests.support.environment import interpreter

ANSWERS = Path(__file__).parent / "mlflow_answers.json"
MLFLOW = "mlflow==3.17.2"


def ask(target: str) -> None:
    """Fill a store and ask it; called in MLflow's environment."""
    import mlflow  # type: ignore[import-not-found, unused-ignore]
    from mlflow.entities import TraceInfo, TraceLocation, TraceState  # type: ignore[import-not-found, unused-ignore]
    from mlflow.entities.span import Span  # type: ignore[import-not-found, unused-ignore]
    from mlflow.exceptions import MlflowException  # type: ignore[import-not-found, unused-ignore]
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # type: ignore[import-not-found, unused-ignore]

    with tempfile.TemporaryDirectory() as directory:
        store = SqlAlchemyStore(f"sqlite:///{directory}/mlflow.db", f"{directory}/artifacts")
        experiment = store.create_experiment("parity")
        for trace in parity.traces():
            store.start_trace(
                TraceInfo(
                    trace_id=f"tr-{trace.id.hex()}",
                    trace_location=TraceLocation.from_experiment_id(experiment),
                    request_time=trace.start_ms,
                    execution_duration=trace.duration_ms,
                    state=TraceState.ERROR if trace.spans[0].error else TraceState.OK,
                    client_request_id=trace.client_request_id,
                    trace_metadata=trace.metadata,
                    tags={**trace.tags, "mlflow.traceName": trace.name},
                )
            )
            store.log_spans(experiment, [Span.from_otel_proto(span) for span in trace.otlp_spans({})])

        def answer(filter_string: str, order_by: list[str]) -> Any:
            try:
                found, _ = store.search_traces(experiment_ids=[experiment], filter_string=filter_string, order_by=order_by, max_results=1000)
            except MlflowException as error:
                return error.error_code
            return [bytes.fromhex(info.trace_id.removeprefix("tr-"))[1] for info in found]

        answers = {
            "mlflow": mlflow.__version__,
            "filters": {text: _sorted(answer(text, [])) for text in parity.filters()},
            "orders": {json.dumps(order): answer("", list(order)) for order in parity.ORDERS},
        }
    lines = [f'"mlflow": {json.dumps(answers["mlflow"])}']
    for part in ("filters", "orders"):
        entries = ",\n".join(f"  {json.dumps(key, ensure_ascii=False)}: {json.dumps(value)}" for key, value in answers[part].items())
        lines.append(f'"{part}": {{\n{entries}\n}}')
    Path(target).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _sorted(answer: Any) -> Any:
    """Numbers in order, as text with ranges: ``0-3 7``; an error as it is."""
    if isinstance(answer, str):
        return {"error": answer}
    ranges: list[list[int]] = []
    for number in sorted(answer):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def main() -> None:
    """Make the environment and ask there."""
    root = Path(__file__).parents[2]
    command = [interpreter("mlflow-store", MLFLOW), "-W", "ignore", "-c", f"from tests.golden.record_mlflow import ask; ask({str(ANSWERS)!r})"]
    subprocess.run(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=True)


if __name__ == "__main__":
    main()
