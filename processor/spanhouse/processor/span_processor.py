"""Span processor: registry of the local roots of running traces, and their stamping."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Mapping

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from spanhouse.processor.process import PROCESS_NAMES, Process, this_process
from spanhouse.schema import vocabulary

TRACE_CONTEXT_KEY = otel_context.create_key("spanhouse-trace-context")
"""OTel context key of the span attributes that ``trace_context`` sets for local roots."""

_SPANS_KEPT = 65_536

_logger = logging.getLogger("spanhouse.processor")

_roots: dict[int, weakref.ref[Span]] = {}
# Span id of every running span to its local root; one registry for all providers, since span ids are random. Single operations on a
# dictionary are atomic, so no lock is taken. Spans that never end stay until newer ones push them out. A forked child must not change
# the spans of its parent.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_roots.clear)


def local_root(span_id: int) -> Span | None:
    """Return the local root above a running span: the process's span without parent, or with a remote one."""
    reference = _roots.get(span_id)
    return reference() if reference is not None else None


class MetadataSpanProcessor(SpanProcessor):
    """Span processor that registers the local root of every running span, for ``update_current_trace``.

    When a local root starts, it gets the attributes of ``trace_context``. Unless a ``MetadataSpanExporter`` puts them on the resource, it
    also gets process metadata that the resource cannot have: the model and the dirty flag, which come at run time, and an environment that
    code names beside a detected type. Phoenix's provider drops its own exporter unless this processor is added with
    ``replace_default_processor=False``.

    Args:
        all_keys: stamp local roots with all process metadata that the resource lacks, for a provider without metadata on its resource
            and without access to its exporter.
    """

    def __init__(self, *, all_keys: bool = False) -> None:
        self._process: Process = this_process()
        self._process.propagate(None)
        self._all_keys = all_keys
        self._version = self._process.version
        self._resource: Resource | None = None
        self._stamp: Mapping[str, str] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Register the span's local root, and stamp the span if it is one."""
        try:
            parent = span.parent
            if parent is not None and not parent.is_remote:
                known = _roots.get(parent.span_id)
                if known is None:
                    return
                reference = known
            else:
                reference = weakref.ref(span)
                self._stamp_root(span, parent_context)
            _roots[span.context.span_id] = reference
            if len(_roots) > _SPANS_KEPT:
                _roots.pop(next(iter(_roots)), None)
        except Exception:
            _logger.exception("a span goes without metadata")

    def on_end(self, span: ReadableSpan) -> None:
        """Remove the span from the registry."""
        context = span.context
        if context is not None:
            _roots.pop(context.span_id, None)

    def _stamp_root(self, span: Span, parent_context: Context | None) -> None:
        resource = span.resource
        if self._version != self._process.version or self._resource is not resource:
            self._renew_stamp(resource)
        if self._stamp:
            span.set_attributes(self._stamp)
        if self._process.propagated and span.parent is not None:
            from spanhouse.processor.propagation import received  # start-up: most processes propagate nothing

            span.set_attributes(received(self._process.propagated, parent_context))
        scoped = otel_context.get_value(TRACE_CONTEXT_KEY, parent_context)
        if scoped is None and parent_context is not None:
            # A context made from nothing, as for a request's headers.
            scoped = otel_context.get_value(TRACE_CONTEXT_KEY)
        if isinstance(scoped, Mapping):
            span.set_attributes(scoped)

    def _renew_stamp(self, resource: Resource) -> None:
        process = self._process
        version = process.version
        missing: dict[str, str] = {}
        if not process.wrappers:
            if self._all_keys:
                missing = process.missing_from(resource.attributes)
                missing.pop(vocabulary.SERVICE_NAME, None)  # means nothing on a span
            else:
                missing = process.late_for(resource.attributes)
            if process.models:
                missing |= process.models[-1].attributes
        # Readers take process keys from a span as they are, other keys only with the prefix of trace metadata.
        self._stamp = {key if key in PROCESS_NAMES else vocabulary.TRACE_METADATA_PREFIX + key: text for key, text in missing.items()}
        self._resource, self._version = resource, version
