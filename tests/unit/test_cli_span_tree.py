"""A trace's spans as a tree."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spanhouse.cli.span_tree import lines, show_tree
from spanhouse.query import Span
from spanhouse.query.search.span_tree import to_tree


def span(
    span_id: str, parent_id: str | None = None, start: int = 0, *, name: str = "", length: int = 10, status: str = "UNSET", message: str = ""
) -> Span:
    return Span(
        name=name or span_id,
        trace_id="tr-" + "1" * 32,
        span_id=span_id,
        parent_id=parent_id,
        start_time_ns=start,
        end_time_ns=start + length,
        status=status,
        status_message=message,
        kind="Internal",
        service_name="shop",
        scope_name="",
        scope_version="",
        attributes={},
        resource={},
        events=(),
        links=(),
    )


def drawn(*spans: Span) -> list[str]:
    return [guide + shown.span_id for guide, shown in lines(spans)]


def test_children_stand_below_their_parent_in_the_order_of_their_start() -> None:
    spans = span("root"), span("late", "root", 5), span("early", "root", 2), span("leaf", "early", 3), span("leaf 2", "early", 4)
    assert drawn(*spans) == ["root", "├─ early", "│  ├─ leaf", "│  └─ leaf 2", "└─ late"]


def test_a_span_whose_parent_is_not_stored_stands_at_the_margin() -> None:
    assert drawn(span("root"), span("lost", "nobody", 1), span("its child", "lost", 2)) == ["root", "lost", "└─ its child"]


def test_spans_in_a_circle_are_shown_once_each() -> None:
    assert sorted(shown.span_id for _, shown in lines([span("a", "b"), span("b", "a"), span("c", "c")])) == ["a", "b", "c"]


def test_a_tree_has_each_span_below_its_parent_and_what_has_none_at_the_top() -> None:
    root, lost, one = to_tree([span("root"), span("lost", "nobody"), span("one", "other"), span("other", "one"), span("child", "root")])
    assert (root.span.span_id, [child.span.span_id for child in root.children]) == ("root", ["child"])
    assert (lost.span.span_id, lost.children) == ("lost", [])
    assert [node.span.span_id for node in one.walk()] == ["one", "other"], "a circle is cut open at its first span"


def test_a_very_deep_trace_is_shown_whole() -> None:
    spans = [span("0"), *(span(str(depth), str(depth - 1), depth) for depth in range(1, 3000))]
    assert [shown.span_id for _, shown in lines(spans)] == [str(depth) for depth in range(3000)]


def test_the_tree_shows_when_each_span_began_how_long_it_took_and_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    show_tree([span("root", length=100_000_000), span("model", "root", 25_000_000, length=50_000_000, status="ERROR", message="out of\nmemory")])
    head, root, model = capsys.readouterr().out.splitlines()
    assert head.split() == ["start", "duration", "span", "status"]
    assert root.split() == ["0", "µs", "100", "ms", "█" * 24, "root"]
    assert model.split() == ["25", "ms", "50", "ms", "█" * 12, "└─", "model", "ERROR", "out", "of", "memory"]
    assert model.index("█") - root.index("█") == 6, "a quarter of the bar's room"


def test_services_are_named_where_a_trace_runs_through_several(capsys: pytest.CaptureFixture[str]) -> None:
    show_tree([span("root"), replace(span("child", "root"), service_name="billing")])
    head, root, child = capsys.readouterr().out.splitlines()
    assert head.split() == ["start", "duration", "span", "service", "status"]
    assert root.endswith("shop")
    assert child.endswith("billing")


def test_a_span_s_name_can_t_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_tree([span("root", name="\x1b[2J\x9b31mboo\n\u202e", status="ERROR", message="\x1b]0;title\x07")])
    printed = capsys.readouterr().out
    assert not {"\x1b", "\x9b", "\u202e", "\x07"} & set(printed)
    assert len(printed.splitlines()) == 2
