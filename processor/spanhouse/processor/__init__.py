"""Metadata for an application's OpenTelemetry spans: commit, branch, entry point, environment and model."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spanhouse.processor.active_model import set_active_model
    from spanhouse.processor.configuration import configure
    from spanhouse.processor.detector import MetadataResourceDetector
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

_MODULES = {
    "MetadataResourceDetector": "detector",
    "MetadataSpanExporter": "span_exporter",
    "MetadataSpanProcessor": "span_processor",
    "configure": "configuration",
    "set_active_model": "active_model",
    "trace_context": "trace_metadata",
    "update_current_trace": "trace_metadata",
}


def __getattr__(name: str) -> object:
    """Import a public name at its first use (PEP 562), so that an application, or the SDK at an entry point, loads only the names it uses."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
