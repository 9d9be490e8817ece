"""Span ids: a trace id has 16 bytes, a span id 8, neither all zero; a parent id has 8 bytes or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_HEAD: Final = np.dtype(
    {
        "names": ["trace_id_tag", "trace_id_begin", "trace_id_end", "span_id_tag", "span_id", "next_tag", "next_length"],
        "formats": ["<u2", "<u8", "<u8", "<u2", "<u8", "u1", "u1"],
        "offsets": [0, 2, 10, 18, 20, 28, 29],
        "itemsize": 30,
    }
)
"""Head of a span on the wire: trace id and span id with their tags and lengths, then the tag of the next field and one byte more."""
_TRACE_ID_TAG: Final = 0x100A
_SPAN_ID_TAG: Final = 0x0812
_PARENT_TAG: Final = 0x22


def id_problem(span: Span) -> str:
    """Return the name of the bad id, '' if all are good."""
    if len(span.trace_id) != 16 or not any(span.trace_id):
        return "trace_id"
    if len(span.span_id) != 8 or not any(span.span_id):
        return "span_id"
    return "" if len(span.parent_span_id) in {0, 8} else "parent_span_id"


def ids_are_good(spans: Sequence[bytes]) -> bool:
    """Return True if all ids of serialised spans are good. The spans are written as protobuf writes them."""
    heads = b"".join([span[: _HEAD.itemsize] for span in spans])
    if len(heads) != _HEAD.itemsize * len(spans):
        return not any(id_problem(Span.FromString(span)) for span in spans)
    head = np.frombuffer(heads, _HEAD)
    next_tag = head["next_tag"]
    good = (head["trace_id_tag"] == _TRACE_ID_TAG) & (head["trace_id_begin"] | head["trace_id_end"] != 0)
    good &= (head["span_id_tag"] == _SPAN_ID_TAG) & (head["span_id"] != 0)
    good &= (next_tag > _PARENT_TAG) | ((next_tag == _PARENT_TAG) & (head["next_length"] == 8))
    if good.all():
        return True
    # The others may only have a trace state, which stands before the parent.
    return not any(id_problem(Span.FromString(spans[index])) for index in np.flatnonzero(~good).tolist())
