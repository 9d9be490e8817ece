"""What the processor costs an application: ``python -m tests.benchmarks.processor``.

Times are CPU times: of the process for spans (one thread does all the work), of fresh processes for start-up. Every figure is the best of
several runs, since other work on the machine only ever adds; what is compared runs in turns, and the last column is the ratio to what is
compared with. Of a start, what comes after importing the SDK is timed by itself, since that import alone varies by more than we take.
MLflow's own tracing, from an environment of its own, shows the scale: CPU of the application's thread for the same spans.
"""

from __future__ import annotations

import compileall
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.checkout import Checkout
from tests.support.environment import interpreter

import spanhouse.processor
import spanhouse.schema
from spanhouse.processor import MetadataSpanExporter, MetadataSpanProcessor
from spanhouse.processor.git.dirty import is_dirty
from spanhouse.processor.git.repository import find_repository, read_head, remote_url

SPANS = 10_000
RUNS = 15
STARTS = 30
ATTRIBUTES = {f"key.{number}": f"value {number}" for number in range(11)}


MLFLOW = f"""
import time
begun = time.process_time()
import mlflow
print((time.process_time() - begun) * 1e3)
attributes = {ATTRIBUTES!r}
def measure():
    begun = time.thread_time()
    for _ in range(100):
        with mlflow.start_span("root", attributes=attributes), mlflow.start_span("child", attributes=attributes):
            pass
    return (time.thread_time() - begun) * 1e6 / 200
print(min(measure() for _ in range(5)))
"""


class _Encoding(SpanExporter):
    """Encodes for OTLP and sends nothing."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS


def _best(*measures: Callable[[], float], runs: int = RUNS) -> list[float]:
    """The least of each, measured in turns."""
    rounds = [[measure() for measure in measures] for _ in range(runs)]
    return [min(figures) for figures in zip(*rounds, strict=True)]


def _span_us(provider: TracerProvider) -> float:
    """CPU of the application's thread per span, of traces of one root and one child."""
    tracer = provider.get_tracer("benchmark")
    gc.collect()
    begun = time.process_time()
    for _ in range(SPANS // 2):
        with tracer.start_as_current_span("root", attributes=ATTRIBUTES), tracer.start_as_current_span("child", attributes=ATTRIBUTES):
            pass
    return (time.process_time() - begun) * 1e6 / SPANS


def _export_us(exporter: SpanExporter, spans: Sequence[ReadableSpan]) -> float:
    """CPU of the exporting thread per span, in batches as the SDK makes them."""
    gc.collect()
    begun = time.process_time()
    for start in range(0, len(spans), 512):
        exporter.export(spans[start : start + 512])
    return (time.process_time() - begun) * 1e6 / len(spans)


def _some_spans() -> Sequence[ReadableSpan]:
    provider, kept = TracerProvider(resource=Resource.create({"service.name": "benchmark"})), InMemorySpanExporter()
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("benchmark")
    for _ in range(5_120):
        with tracer.start_as_current_span("span", attributes=ATTRIBUTES):
            pass
    return kept.get_finished_spans()


def _starts_ms(checkout: Path, *codes: tuple[str, str]) -> list[tuple[float, float]]:
    """CPU of fresh processes, byte code compiled before as an installation does it: of the first part of each code, and of the second."""
    script = checkout / "app.py"

    def measure(first: str, second: str) -> tuple[float, float]:
        timed = f"import time\n{first}\nbegun = time.process_time()\n{second}\nprint(begun, time.process_time() - begun)\n"
        done = subprocess.run([sys.executable, str(script), timed], capture_output=True, text=True, check=True)
        first_seconds, second_seconds = map(float, done.stdout.split())
        return first_seconds * 1e3, second_seconds * 1e3

    rounds = [[measure(*code) for code in codes] for _ in range(STARTS)]
    return [(min(first for first, _ in times), min(second for _, second in times)) for times in zip(*rounds, strict=True)]


def _mlflow(directory: Path) -> tuple[float, float]:
    """What importing MLflow takes, in ms, and CPU of the application's thread per span, in us."""
    environ = os.environ | {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_TRACKING_URI": directory.as_uri()}
    command = [interpreter("mlflow", "mlflow-skinny>=3.10"), "-W", "ignore", "-c", MLFLOW]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    import_ms, span_us = done.stdout.split()
    return float(import_ms), float(span_us)


def _capture_ms(root: Path) -> float:
    begun = time.process_time()
    repository = find_repository(str(root), {})
    assert repository is not None
    commit, _ = read_head(repository)
    remote_url(repository)
    assert commit is not None
    is_dirty(repository, commit, environ={}, timeout_seconds=60)
    return (time.process_time() - begun) * 1e3


def _repository(root: Path, files: int) -> Checkout:
    """A clean repository whose files are older than its index, as they are some seconds after a checkout."""
    checkout = Checkout(root)
    checkout.write("app.py", "import sys\nexec(sys.argv[1])\n")
    for number in range(files - 1):
        checkout.write(f"d{number % 50}/f{number}", f"{number}\n")
    for path in root.rglob("*"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    checkout.git("remote", "add", "origin", "https://github.com/acme/shop.git")
    checkout.commit()
    return checkout


def main() -> None:
    """Print the table."""
    for package in (spanhouse.processor, spanhouse.schema):
        # Only where nobody may write byte code it is compiled at every start.
        compileall.compile_dir(str(Path(package.__file__ or "").parent), quiet=1)
    alone, stamped = TracerProvider(), TracerProvider()
    stamped.add_span_processor(MetadataSpanProcessor())
    spans = _some_spans()
    plain_us, processor_us = _best(lambda: _span_us(alone), lambda: _span_us(stamped))
    encoding, wrapping = _Encoding(), MetadataSpanExporter(_Encoding())
    export_us, wrapped_us = _best(lambda: _export_us(encoding, spans), lambda: _export_us(wrapping, spans))
    with tempfile.TemporaryDirectory() as directory:
        small, large = _repository(Path(directory) / "small", 20), _repository(Path(directory) / "large", 10_000)
        sdk = "from opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\nimport opentelemetry.sdk.trace.export\n"
        exporter = "from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Exporter\n"
        added = "provider.add_span_processor(opentelemetry.sdk.trace.export.BatchSpanProcessor(Exporter()))\n"
        starts = _starts_ms(
            small.root,
            (sdk, "trace.set_tracer_provider(TracerProvider())"),
            (sdk, "from spanhouse.processor import configure\nconfigure(export=False)"),
            (sdk + exporter, "provider = TracerProvider()\n" + added + "trace.set_tracer_provider(provider)"),
            (sdk + exporter, "from spanhouse.processor import configure\nconfigure(protocol='http/protobuf')"),
        )
        (sdk_import_ms, sdk_ms), (_, ours_ms), (exporter_import_ms, exporting_ms), (_, ours_exporting_ms) = starts
        mlflow_ms, mlflow_us = _mlflow(Path(directory) / "mlflow")
        small_ms, large_ms = _best(lambda: _capture_ms(small.root), lambda: _capture_ms(large.root))
    start_ms, exporting_start_ms = sdk_import_ms + sdk_ms, exporter_import_ms + exporting_ms
    rows = [
        ("application's thread, SDK alone", plain_us, plain_us, "us CPU per span"),
        ("  + MetadataSpanProcessor", processor_us - plain_us, plain_us, "us CPU per span"),
        ("  MLflow's tracing instead", mlflow_us, plain_us, "us CPU per span"),
        ("exporting thread, OTLP encoding alone", export_us, export_us, "us CPU per span"),
        ("  + MetadataSpanExporter", wrapped_us - export_us, export_us, "us CPU per span"),
        ("start-up, SDK that exports", exporting_start_ms, exporting_start_ms, "ms CPU"),
        ("  + configure()", ours_exporting_ms - exporting_ms, exporting_start_ms, "ms CPU"),
        ("start-up, SDK without an exporter", start_ms, start_ms, "ms CPU"),
        ("  + configure(export=False)", ours_ms - sdk_ms, start_ms, "ms CPU"),
        ("  + importing MLflow instead", mlflow_ms, start_ms, "ms CPU"),
        ("git capture, 20 files", small_ms, start_ms, "ms CPU"),
        ("git capture, 10,000 files", large_ms, start_ms, "ms CPU"),
    ]
    for name, value, base, unit in rows:
        sys.stdout.write(f"{name:40}{value:10.2f}  {unit:16}{value / base:8.3f}\n")


if __name__ == "__main__":
    main()
