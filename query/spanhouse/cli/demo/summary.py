"""Output of the demo. All facts about traces are read from the store."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spanhouse.cli.comparison_view import show_comparison
from spanhouse.cli.demo.sample_repository import Release
from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.output import Column, safe, show, show_table
from spanhouse.cli.text import milliseconds
from spanhouse.cli.trace_list import SHORT_COMMIT, short_commit, show_traces
from spanhouse.cli.trace_view import show_map, show_trace
from spanhouse.query import Comparison, Trace, TraceClient
from spanhouse.schema.trace_attributes import TraceState
from spanhouse.schema.vocabulary import APP_VERSION, GIT_BRANCH, GIT_COMMIT, SOURCE_NAME

SERVICE: Final = "chat-service"
FILTER: Final = "metadata.mlflow.source.type = 'production' AND status = 'ERROR'"
_SLOWEST: Final = "execution_time DESC"
_SHOWN_TRACES: Final = 5
_SEARCHABLE_SECONDS: Final = 30
_POLL_SECONDS: Final = 0.1
_LEFT_OUT: Final = ("service.", "telemetry.", "vcs.")
"""Prefixes of metadata keys that repeat values under OTel's names, or that the SDK adds; ``spanhouse trace`` shows them."""
_INDENT: Final = 2

_COLUMNS: Final = (
    Column(title="version"),
    Column(title="commit"),
    Column(title="branch"),
    Column(title="entry point"),
    Column(title="traces", right=True),
    Column(title="errors", right=True),
    Column(title="error rate", right=True),
    Column(title="p50", right=True),
    Column(title="p95", right=True),
)


@dataclass(frozen=True, slots=True)
class Version:
    """Traces of one commit."""

    traces: Sequence[Trace]

    @property
    def metadata(self) -> dict[str, str]:
        """Version of its first trace."""
        return self.traces[0].info.trace_metadata

    @property
    def errors(self) -> int:
        """Number of traces that failed."""
        return sum(trace.info.status == TraceState.ERROR for trace in self.traces)

    @property
    def error_rate(self) -> float:
        """Share of traces that failed."""
        return self.errors / len(self.traces)

    def duration_ms(self, part: float) -> int:
        """Return the duration that this share of its traces does not exceed."""
        durations = sorted(trace.info.execution_time_ms or 0 for trace in self.traces)
        return durations[math.ceil(part * len(durations)) - 1]


def begin() -> None:
    """Announce the steps of the demo."""
    show(safe("A chat service is released twice. Did the second release make it worse?", "bold"))
    print()


def released(release: Release, commit: str, answers: Counter[int]) -> None:
    """Print that a release has had its requests."""
    print(f"  released {release.version}, commit {commit[:SHORT_COMMIT]} ({release.subject}); sent it {answers.total()} requests", flush=True)


def ask(client: TraceClient, *, sent: int) -> None:
    """Put the questions to the store and print the answers.

    Raises:
        CommandError: some traces that were sent can't be found.
    """
    versions = _versions(client, sent)
    _heading("Which requests failed in production?", f'$ spanhouse search "{FILTER}" --limit {_SHOWN_TRACES}')
    show_traces(client.search_traces(filter_string=FILTER, max_results=_SHOWN_TRACES), indent=_INDENT)
    slow = slowest(client)
    _heading("What took the slowest one so long?", f"$ spanhouse trace {slow.info.trace_id}")
    show_trace(slow, indent=_INDENT)
    show_map("metadata", {key: value for key, value in slow.info.trace_metadata.items() if not key.startswith(_LEFT_OUT)}, indent=_INDENT)
    _heading("Which commit is worse?", f'TraceClient().search_traces(experiment_ids=["{SERVICE}"]), counted by commit')
    show_table(_COLUMNS, [_cells(version) for version in versions], indent=_INDENT)
    if len(versions) == 2:
        _compared(client, *versions)


def slowest(client: TraceClient) -> Trace:
    """Return the trace that took longest, with its spans."""
    return client.search_traces(experiment_ids=[SERVICE], order_by=[_SLOWEST], max_results=1, include_spans=True)[0]


def go_on(store: Path | None) -> None:
    """Print the next steps; ``store`` is the one that is kept."""
    print()
    show(safe("What next?", "bold"))
    if store is None:
        print("  spanhouse demo --keep   keeps these traces, for questions of your own")
    else:
        for words in (f'search "{FILTER}"', f"search --order-by '{_SLOWEST}' --limit 5", "values app_version", "keys"):
            print(f"  spanhouse {words} --store chdb://{store}")
        print(f"  The store is kept in {store}; remove {store.parent} when you have seen enough.")
    print("  spanhouse serve         receives the traces of your own application, which says at its start:")
    print("                          from spanhouse.processor import configure; configure()")


def _versions(client: TraceClient, sent: int) -> list[Version]:
    """Return the traces by the commit that they ran, the oldest first."""
    deadline = time.monotonic() + _SEARCHABLE_SECONDS
    while (found := client.count(f"metadata.service.name = '{SERVICE}'")) < sent:
        if time.monotonic() > deadline:
            raise CommandError(f"{found} of {sent} traces arrived; run it again, and report this if it repeats", Exit.STORE)
        time.sleep(_POLL_SECONDS)
    commits: dict[str, list[Trace]] = defaultdict(list)
    for trace in client.search_traces(experiment_ids=[SERVICE], order_by=["timestamp_ms ASC"]):
        commits[trace.info.trace_metadata.get(GIT_COMMIT.mlflow, "")].append(trace)
    return [Version(traces) for traces in commits.values()]


def _heading(question: str, how: str) -> None:
    print()
    show(safe(question, "bold"))
    show(safe(how, "dim"), indent=_INDENT)


def _cells(version: Version) -> tuple[object, ...]:
    return (
        version.metadata.get(APP_VERSION.mlflow, ""),
        short_commit(version.traces[0]),
        version.metadata.get(GIT_BRANCH.mlflow, ""),
        version.metadata.get(SOURCE_NAME.mlflow, ""),
        len(version.traces),
        version.errors,
        f"{version.error_rate:.1%}".replace("%", " %"),
        milliseconds(version.duration_ms(0.5)),
        milliseconds(version.duration_ms(0.95)),
    )


def _compared(client: TraceClient, old: Version, new: Version) -> None:
    """Put the second commit to the test."""
    commits = [version.metadata[GIT_COMMIT.mlflow] for version in (old, new)]
    short = " ".join(short_commit(version.traces[0]) for version in (old, new))
    _heading("Is the second commit worse, or was it chance? And where?", f"$ spanhouse compare --by commit {short} --per name")
    found = client.compare("commit", *commits, per="name")
    assert isinstance(found, Comparison)  # noqa: S101 (two values were given)
    show_comparison(found, indent=_INDENT)
