"""Comparison on the terminal, or as JSON, CSV or Markdown."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from rich.text import Text

from spanhouse.cli.errors import CommandError
from spanhouse.cli.output import Column, print_csv, print_markdown, safe, show, show_table, to_json
from spanhouse.cli.text import local_time, one_line
from spanhouse.cli.trace_list import SHORT_COMMIT
from spanhouse.query import Bisection, Comparison, Finding, Interval, Table, Verdict
from spanhouse.query.compare import number_format
from spanhouse.query.compare.measures import LATENCY, SELF_TIME

_STYLES: Final = {Verdict.WORSE: "bold red", Verdict.BETTER: "bold green", Verdict.NO_EVIDENCE: "bold", Verdict.TOO_LITTLE_DATA: "bold yellow"}
_FINDINGS: Final = (
    Column(title="number", whole=True),
    Column(title="base", right=True, whole=True),
    Column(title="new", right=True, whole=True),
    Column(title="change", right=True, whole=True),
    Column(title="95 % interval", right=True, spare=2),
    Column(title="effect", right=True, spare=3),
    Column(title="corrected p", right=True, spare=1),
    Column(title="verdict", whole=True),
)
_SIDES: Final = (
    Column(title="value"),
    Column(title="traces", right=True, whole=True),
    Column(title="errors", right=True, whole=True),
    Column(title="unfinished", right=True, spare=1),
    Column(title="error rate", right=True, whole=True),
    Column(title="95 % interval", right=True, spare=2),
    *(Column(title=f"p{level * 100:g}", right=True, spare=1 if level in {0.9, 0.99} else 0) for level in (0.5, 0.9, 0.95, 0.99)),
    Column(title="tokens in, out", right=True, spare=3),
    Column(title="cost", right=True, spare=3),
    Column(title="first seen", spare=4),
)
_SIDES_OF_SERVICE: Final = (*_SIDES, Column(title="trace errors", right=True, spare=1))
_SHOWN_SLICES: Final = 20
_SHA: Final = re.compile("[0-9a-f]{40}")


def print_table(found: Table, form: str) -> None:
    """Print the values of a key side by side, in a format."""
    columns = _SIDES_OF_SERVICE if found.service else _SIDES
    titles = [column.title for column in columns]
    match form:
        case "json":
            print(to_json(found.to_dict()))
        case "csv":
            print_csv(titles, _sides(found))
        case "markdown":
            print_markdown(titles, _sides(found))
        case _ if not found.sides:
            raise nothing_of(found)
        case _:
            show_table(columns, list(_sides(found)))


def nothing_of(found: Table | Bisection) -> CommandError:
    """Return the error that no trace has a value of the key."""
    who = f"no trace in which {found.service} took part" if found.service else "no trace"
    return CommandError(f"{who} has a value of {found.by}; `spanhouse keys` lists what there is")


def _sides(found: Table) -> Iterator[tuple[str, ...]]:
    for side in found.sides:
        latency = side.quantiles.get(SELF_TIME.name if found.service else LATENCY.name, {})
        rate = side.error_rate
        whole = "trace " if found.service else ""
        tokens = [f"{side.means[name]:,.0f}" if name in side.means else "-" for name in (f"{whole}input tokens", f"{whole}output tokens")]
        yield (
            side.value,
            f"{side.traces:,}",
            f"{side.errors:,}",
            f"{side.unfinished:,}",
            number_format.number(rate.value, number_format.SHARE),
            f"{number_format.number(rate.low, number_format.SHARE)} to {number_format.number(rate.high, number_format.SHARE)}",
            *(_number(latency.get(level), "ms") for level in (0.5, 0.9, 0.95, 0.99)),
            ", ".join(tokens),
            number_format.number(side.means[f"{whole}cost"], "USD") if f"{whole}cost" in side.means else "-",
            local_time(side.first_ms),
            *([f"{side.trace_errors:,}"] if found.service else []),
        )


def print_comparison(found: Comparison, form: str) -> None:
    """Print a comparison in a format."""
    titles = [column.title for column in _FINDINGS]
    rows = [_cells(finding) for finding in found.findings]
    match form:
        case "json":
            print(to_json(found.to_dict()))
        case "csv":
            print_csv(titles, rows)
        case "markdown":
            print(f"### {one_line(found.new.value)} against {one_line(found.base.value)}: {found.verdict}\n")
            for line in [*([_of_service(found.service)] if found.service else []), *_telling(found)]:
                print(f"- {one_line(line)}")
            print()
            print_markdown(titles, rows)
            if found.slices:
                print()
                print_markdown(_slice_titles(found), [_slice_cells(finding) for finding in found.slices[:_SHOWN_SLICES]])
            print()
            for line in _notes(found):
                print(f"- {one_line(line)}")
        case _:
            show_comparison(found)


def show_comparison(found: Comparison, *, indent: int = 0) -> None:
    """Print the numbers, the verdict, other differences, and searches that list examples."""
    base, new = (short(side.value) for side in (found.base, found.new))
    if found.service:
        show(safe(_of_service(found.service)), indent=indent)
    show(safe(f"base {base}: {found.base.traces:,} traces; new {new}: {found.new.traces:,} traces"), indent=indent)
    show_table(_FINDINGS, [[*_cells(finding)[:-1], styled(finding.verdict)] for finding in found.findings], indent=indent)
    print()
    if found.verdict in {Verdict.WORSE, Verdict.BETTER}:
        show(Text.assemble(safe(f"{new} is "), styled(found.verdict)), indent=indent)
        for line in _telling(found):
            show(safe(f"  {line}"), indent=indent)
    else:
        show(Text.assemble(styled(found.verdict), safe(f": {found.reason}")), indent=indent)
    if found.slices:
        print()
        columns = [Column(title=title, right=number > 1, spare=0 if number < 3 else 1) for number, title in enumerate(_slice_titles(found))]
        show_table(columns, [[*_slice_cells(finding)[:-1], styled(finding.verdict)] for finding in found.slices[:_SHOWN_SLICES]], indent=indent)
        if (more := len(found.slices) - _SHOWN_SLICES) > 0:
            show(safe(f"and {more} more; --format json has all", "dim"), indent=indent)
    print()
    for line in _notes(found):
        show(safe(line), indent=indent)


def _of_service(service: str) -> str:
    return f"the part that {service} took: errors of its spans, its self time; what begins with trace is of the whole traces"


def _telling(found: Comparison) -> list[str]:
    """Return the findings on which the verdict rests."""
    if found.verdict not in {Verdict.WORSE, Verdict.BETTER}:
        return [found.reason]
    return [f"{finding.metric}: {finding.reason}" for finding in found.findings if finding.verdict is found.verdict]


def _slice_titles(found: Comparison) -> Sequence[str]:
    return (found.per, "number", "base", "new", "contributes", "corrected p", "verdict")


def _slice_cells(finding: Finding) -> tuple[str, ...]:
    metric, base, new, *_, p_value, verdict = _cells(finding)
    return finding.slice or "", metric, base, new, number_format.change(finding.contribution or 0, number_format.SHARE), p_value, verdict


def short(value: str) -> str:
    """Return a value for a heading: a commit by its first digits."""
    return value[:SHORT_COMMIT] if _SHA.fullmatch(value) else value


def _notes(found: Comparison) -> Iterator[str]:
    yield from (f"note: {line}" for line in found.confounds)
    guilty = [finding for finding in found.slices if finding.verdict is Verdict.WORSE]
    placed = {finding.metric for finding in guilty}
    for finding in (*guilty, *(finding for finding in found.findings if finding.metric not in placed)):
        if finding.verdict is Verdict.WORSE and finding.examples:
            of = finding.metric if finding.slice is None else f"{finding.metric} of {finding.slice}"
            yield f"see ({of}): spanhouse search {search_words(finding.examples, found.service)}"


def search_words(examples: str, service: str) -> str:
    """Return the words of ``spanhouse search`` that list examples."""
    return f"--service {shlex.quote(service)} {quoted(examples)}" if service else quoted(examples)


def quoted(words: str) -> str:
    """Return a filter as one word of a shell."""
    return '"' + re.sub(r'([\\"$`])', r"\\\1", words) + '"'


def styled(verdict: Verdict | None) -> Text:
    """Return a verdict in its colour; '-' for a number that is not tested."""
    return safe(verdict or "-", _STYLES.get(verdict, "dim") if verdict else "dim")


def _cells(finding: Finding) -> tuple[str, ...]:
    change = finding.change
    return (
        finding.metric,
        _number(finding.base, finding.unit),
        _number(finding.new, finding.unit),
        "-" if change is None else number_format.change(change.value, finding.unit),
        "-" if change is None else number_format.interval(change, finding.unit),
        "-" if finding.effect is None else f"{finding.effect:+.2f}",
        "-" if finding.corrected_p is None else number_format.p_text(finding.corrected_p).removeprefix("p ").removeprefix("= "),
        finding.verdict or "-",
    )


def _number(found: Interval | None, unit: str) -> str:
    return "-" if found is None else number_format.number(found.value, unit)
