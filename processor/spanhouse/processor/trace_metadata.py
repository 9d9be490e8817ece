"""Metadata of single traces, sent as attributes of the process's local root span."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping

from opentelemetry import context as otel_context
from opentelemetry import trace

from spanhouse.processor.metadata_values import to_text
from spanhouse.processor.process import this_process
from spanhouse.processor.span_processor import TRACE_CONTEXT_KEY, local_root
from spanhouse.schema import vocabulary

_PREVIEW_CHARACTERS, _CUT = 1000, "..."

_logger = logging.getLogger("spanhouse.processor")
_warned = threading.Event()


def update_current_trace(
    *,
    tags: Mapping[str, object] | None = None,
    metadata: Mapping[str, object] | None = None,
    client_request_id: object = None,
    session_id: object = None,
    user: object = None,
    model_id: object = None,
    state: object = None,
    request_preview: object = None,
    response_preview: object = None,
) -> None:
    """Set metadata, tags and fields of the running trace; a later call wins over an earlier one.

    They go to the local root span of this process. If that span has ended, or without a ``MetadataSpanProcessor``, they go to the current
    span. Without a recording span one warning is logged. Never raises.

    Values become text: None is skipped (so headers that may be missing can be passed as they are), booleans become ``true`` or ``false``,
    containers compact JSON, anything else ``str(value)``.

    Args:
        tags: tags, which can be edited later.
        metadata: metadata, which cannot be edited. It overrides the process's: ``{"mlflow.source.type": "staging"}`` names the environment.
        client_request_id: the caller's own id of the request.
        session_id: session or conversation; a list of ids, which must not be empty, becomes a JSON array.
        user: end user.
        model_id: LoggedModel that the trace used.
        state: ``OK`` or ``ERROR``; overrides the root span's status.
        request_preview: short form of the request; cut to 1000 characters.
        response_preview: short form of the response; cut to 1000 characters.
    """
    try:
        attributes = _scoped_attributes("update_current_trace", metadata=metadata, tags=tags, session_id=session_id, user=user)
        _put(attributes, vocabulary.TRACE_METADATA_PREFIX + vocabulary.MODEL_ID.mlflow, model_id)
        _put(attributes, vocabulary.CLIENT_REQUEST_ID, client_request_id)
        _put(attributes, vocabulary.REQUEST_PREVIEW, _preview(request_preview))
        _put(attributes, vocabulary.RESPONSE_PREVIEW, _preview(response_preview))
        if state is not None:
            if to_text(state) in vocabulary.SETTABLE_STATES:
                _put(attributes, vocabulary.STATE, state)
            else:
                _logger.warning("update_current_trace leaves the state %r out: it takes OK or ERROR", state)
        current = trace.get_current_span()
        root = local_root(current.get_span_context().span_id)
        target = root if root is not None and root.is_recording() else current
        if target.is_recording():
            target.set_attributes(attributes)
        elif not _warned.is_set():
            _warned.set()
            _logger.warning("update_current_trace has no effect here: no span is being recorded (logged once)")
    except Exception:
        _logger.exception("update_current_trace failed; the trace goes on without it")


@contextlib.contextmanager
def trace_context(
    *,
    metadata: Mapping[str, object] | None = None,
    tags: Mapping[str, object] | None = None,
    session_id: object = None,
    user: object = None,
) -> Iterator[None]:
    """Set metadata, tags, session and user of every trace that starts inside, in this thread or asyncio task and those it starts.

    Contexts nest, the inner one wins key by key; ``update_current_trace`` wins over both. Needs a ``MetadataSpanProcessor`` in the
    provider, which ``configure`` adds. Values become text as in ``update_current_trace``.

    Names in ``configure(propagate=...)`` also go with outgoing requests, as W3C baggage.
    """
    try:
        outer = otel_context.get_value(TRACE_CONTEXT_KEY)
        inner = _scoped_attributes("trace_context", metadata=metadata, tags=tags, session_id=session_id, user=user)
        context = otel_context.set_value(TRACE_CONTEXT_KEY, {**outer, **inner} if isinstance(outer, Mapping) else inner)
        propagated = this_process().propagated
        if propagated:
            from spanhouse.processor.propagation import sent  # start-up: most processes propagate nothing

            context = sent(propagated, inner, context)
        token = otel_context.attach(context)
    except Exception:
        _logger.exception("trace_context failed; traces go on without it")
        yield
        return
    try:
        yield
    finally:
        otel_context.detach(token)


def _scoped_attributes(
    caller: str, *, metadata: Mapping[str, object] | None, tags: Mapping[str, object] | None, session_id: object, user: object
) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for prefix, values in ((vocabulary.TRACE_METADATA_PREFIX, metadata), (vocabulary.TRACE_TAG_PREFIX, tags)):
        for key, value in (values or {}).items():
            name = to_text(key)
            if name:
                _put(attributes, prefix + name, value)
    if isinstance(session_id, list | tuple) and not (session_id and all(isinstance(item, str) for item in session_id)):
        _logger.warning("%s leaves the session_id %r out: it takes text or a list of texts", caller, session_id)
        session_id = None
    for value, standard, key in (
        (session_id, vocabulary.SESSION_ATTRIBUTE, vocabulary.SESSION),
        (user, vocabulary.USER_ATTRIBUTE, vocabulary.TRACE_USER),
    ):
        _put(attributes, standard, value)
        _put(attributes, vocabulary.TRACE_METADATA_PREFIX + key, value)
    return attributes


def _preview(value: object) -> str | None:
    text = to_text(value)
    return text if text is None or len(text) <= _PREVIEW_CHARACTERS else text[: _PREVIEW_CHARACTERS - len(_CUT)] + _CUT


def _put(attributes: dict[str, str], key: str, value: object) -> None:
    text = to_text(value)
    if text is not None:
        attributes[key] = text
