"""What an application loads: puts commit, branch, entry point, environment and model on its OpenTelemetry spans."""

from spanhouse.processor.configuration import configure
from spanhouse.processor.detector import MetadataResourceDetector
from spanhouse.processor.model import set_active_model
from spanhouse.processor.span_exporter import MetadataSpanExporter
from spanhouse.processor.span_processor import MetadataSpanProcessor
from spanhouse.processor.trace_metadata import trace_context, update_current_trace

__all__ = [
    "MetadataResourceDetector",
    "MetadataSpanExporter",
    "MetadataSpanProcessor",
    "configure",
    "set_active_model",
    "trace_context",
    "update_current_trace",
]
