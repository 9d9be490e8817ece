"""``spanhouse compare``: versions side by side, and a verdict on the new one."""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from spanhouse.cli.comparison_view import print_comparison, print_table
from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.store_access import reader
from spanhouse.cli.text import nearest
from spanhouse.query import Comparison, Finding, Table, Verdict
from spanhouse.query.compare import number_format
from spanhouse.query.compare.plot import check_plot_path, plot_comparison
from spanhouse.query.compare.question import read_question
from spanhouse.query.compare.verdict import ERROR_RATE

_ALLOWED: Final = {
    "errors": (ERROR_RATE,),
    "p50": ("latency p50", "self time p50"),
    "p95": ("latency p95", "self time p95"),
    "first-token": ("time to first token p50", "time to first token p95"),
    "tokens": ("input tokens p50", "output tokens p50"),
    "cost": ("cost p50",),
}
"""Name in ``--allow`` -> metrics whose rise it allows."""
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*%?", re.ASCII)


def run(arguments: Namespace) -> int:
    """Print the table or the comparison; with ``--fail-on-regression`` return the gate's exit code."""
    allowed = _limits(arguments.allow)
    if arguments.fail_on_regression and not arguments.new:
        raise CommandError("--fail-on-regression needs two values: spanhouse compare BASE NEW")
    words = (arguments.by, arguments.base or None, arguments.new or None, arguments.where)
    picture = arguments.plot and check_plot_path(arguments.plot)
    options: dict[str, Any] = {
        "since": arguments.since or None,
        "per": arguments.per or None,
        "metrics": _names(arguments.metric),
        "stratify": arguments.stratify,
        "series": picture is not None,
        "service": arguments.service or None,
    }
    read_question(*words, **options)  # a mistake is told before anything is connected to
    with reader(arguments.store) as client:
        found = client.compare(*words, **options)
    if picture is not None and found.series is not None:
        _draw(found, picture)
    if isinstance(found, Table):
        if not found.complete:
            print(f"spanhouse: {len(found.sides)} values are shown, those with the most traces", file=sys.stderr)
        print_table(found, arguments.format)
        return Exit.DONE
    print_comparison(found, arguments.format)
    return _gate(found, allowed) if arguments.fail_on_regression else Exit.DONE


def _draw(found: Table | Comparison, picture: Path) -> None:
    try:
        plot_comparison(found, picture)
    except OSError as error:
        raise CommandError(f"--plot {picture}: {error.strerror or error}") from None
    print(f"spanhouse: the picture is in {picture}", file=sys.stderr)


def _gate(found: Comparison, allowed: Mapping[str, float]) -> Exit:
    """Return the exit code of a comparison: absence of evidence is no proof that the new version is no worse."""
    if any(_regressed(finding, allowed) for finding in found.findings):
        return Exit.GATE
    return Exit.DONE if found.verdict in {Verdict.BETTER, Verdict.WORSE} else Exit.UNDECIDED


def _regressed(finding: Finding, allowed: Mapping[str, float]) -> bool:
    """Return whether a number got worse by more than is allowed."""
    if finding.verdict is not Verdict.WORSE or finding.change is None:
        return False
    rise = finding.change.value if finding.unit == number_format.SHARE else finding.relative
    return finding.metric not in allowed or rise is None or rise > allowed[finding.metric]


def _limits(given: str) -> Mapping[str, float]:
    """Read ``NAME=LIMIT,...`` into shares by metric.

    Raises:
        CommandError: a name is unknown, or a limit is no number of percent.
    """
    limits: dict[str, float] = {}
    for item in _names(given):
        name, _, limit = (part.strip() for part in item.partition("="))
        if name not in _ALLOWED:
            raise CommandError(f"--allow {item!r}: unknown name {name!r}; the nearest known one is {nearest(name, _ALLOWED)!r}")
        if (found := _PART.fullmatch(limit)) is None:
            raise CommandError(f"--allow {item!r}: write NAME=LIMIT with a number of percent, such as {name}=10%")
        limits |= dict.fromkeys(_ALLOWED[name], float(found[1]) / 100)
    return limits


def _names(given: str) -> Sequence[str]:
    return [name.strip() for name in given.split(",") if name.strip()]
