"""``spanhouse bisect``: the version at which something changed."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Final

from rich.text import Text

from spanhouse.cli.comparison_view import nothing_of, search_words, short, styled
from spanhouse.cli.errors import Exit
from spanhouse.cli.output import Column, print_for_programs, safe, show, show_table
from spanhouse.cli.store_access import reader
from spanhouse.query import Bisection, Change, Verdict
from spanhouse.query.compare import number_format
from spanhouse.query.compare.question import read_question

_COLUMNS: Final = (
    Column(title="number", whole=True),
    Column(title="changed at"),
    Column(title="before", right=True, whole=True),
    Column(title="from there on", right=True, whole=True),
    Column(title="confidence", right=True),
    Column(title="corrected p", right=True),
    Column(title="verdict", whole=True),
)

_ONE_VALUE: Final = "one value alone: there is nothing to tell apart"
_OF_THE_ROOT: Final = "it is that of the service in which traces begin, and --service NAME looks at one below it"


def run(arguments: Namespace) -> int:
    """Print for each number where it most likely changed; refuse a key of which no trace has a value."""
    words, since = (arguments.by, arguments.where), arguments.since or None
    service = arguments.service or None
    read_question(words[0], where=words[1], since=since, service=service)  # a mistake is told before anything is connected to
    with reader(arguments.store) as client:
        found = client.bisect(*words, since=since, repository=arguments.repository or Path(), service=service)
    if not found.versions:
        raise nothing_of(found)
    titles, rows = [column.title for column in _COLUMNS], [_cells(change) for change in found.changes]
    if not print_for_programs(arguments.format, titles, rows, found.to_dict()):
        _show(found)
    return Exit.DONE


def _show(found: Bisection) -> None:
    order = f"the history in {found.history}" if found.history else "their first traces"
    of = f"{found.by} of {found.service}" if found.service else found.by
    show(safe(f"{len(found.versions)} values of {of} in the order of {order}, {short(found.versions[0])} to {short(found.versions[-1])}"))
    if found.strangers:
        show(safe(f"not in that history, so put where they were first seen: {', '.join(map(short, found.strangers))}"))
    show_table(_COLUMNS, [[*_cells(change)[:-1], styled(change.verdict)] for change in found.changes])
    print()
    telling = [change for change in found.changes if change.verdict is not Verdict.NO_EVIDENCE]
    for change in telling:
        show(Text.assemble(safe(f"{short(change.value)}: {change.metric} "), styled(change.verdict), safe(f" than up to {short(change.previous)}")))
        show(safe(f"  {change.reason}"))
        if len(change.candidates) > 1:
            show(safe(f"  with 95 % it is one of {', '.join(map(short, change.candidates))}"))
        show(safe(f"  see: spanhouse search {search_words(change.examples, found.service)}"))
    if not telling and len(found.versions) == 1:
        show(safe(_ONE_VALUE if found.service else f"{_ONE_VALUE}; {_OF_THE_ROOT}"))
    elif not telling:
        show(safe("no change that chance alone would not give"))


def _cells(change: Change) -> tuple[str, ...]:
    return (
        change.metric,
        short(change.value),
        number_format.number(change.before.value, number_format.SHARE),
        number_format.number(change.after.value, number_format.SHARE),
        number_format.number(change.confidence, number_format.SHARE),
        number_format.p_text(change.corrected_p).removeprefix("p ").removeprefix("= "),
        change.verdict,
    )
