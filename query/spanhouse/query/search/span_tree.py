"""Tree of a trace's spans, by parent and child."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from spanhouse.query.models import Span


@dataclass(frozen=True, slots=True, eq=False)
class SpanNode:
    """A node of the tree.

    Attributes:
        span: span of the node.
        children: nodes of its child spans, by their start.
    """

    span: Span
    children: list[SpanNode] = field(default_factory=list, repr=False)

    def walk(self) -> Iterator[SpanNode]:
        """Yield this node and all below it, each before its children, to any depth."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))


def to_tree(spans: Sequence[Span]) -> tuple[SpanNode, ...]:
    """Return the top nodes, whose spans have no parent among the spans, with all others below.

    A span whose parent is not stored is a top node, and so is the first span of a circle, which only broken senders make.
    """
    nodes = {span.span_id: SpanNode(span) for span in spans}
    parents = {span.span_id: parent for span in spans if (parent := nodes.get(span.parent_id or "")) is not None}
    for node in sorted(nodes.values(), key=lambda node: (node.span.start_time_ns, node.span.span_id)):
        if node.span.span_id in parents:
            parents[node.span.span_id].children.append(node)
    tops = [node for node in nodes.values() if node.span.span_id not in parents]
    reached = {node.span.span_id for top in tops for node in top.walk()}
    for node in nodes.values():
        if node.span.span_id not in reached:
            parents[node.span.span_id].children.remove(node)
            tops.append(node)
            reached |= {below.span.span_id for below in node.walk()}
    return tuple(tops)
