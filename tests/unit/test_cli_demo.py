"""Parts of the demo: the releases as commits, and what is computed from the traces that are read."""

from __future__ import annotations

import ast
import os
import subprocess
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanhouse.cli.demo.sample_repository import URL, Repository
from spanhouse.cli.demo.summary import Version
from spanhouse.cli.verbs.demo import NEW, OLD
from spanhouse.query import Trace, TraceData, TraceInfo
from spanhouse.schema.trace_attributes import TraceState


def trace(duration_ms: int | None = 1, state: TraceState = TraceState.OK) -> Trace:
    info = TraceInfo(
        trace_id="tr-" + "1" * 32,
        name="",
        experiment_id="",
        request_time=0,
        execution_duration=duration_ms,
        state=state,
        trace_metadata={},
        tags={},
        client_request_id=None,
        request_preview=None,
        response_preview=None,
        span_count=1,
        error_count=0,
        input_tokens=0,
        output_tokens=0,
        cost=None,
        root_span_id=None,
    )
    return Trace(info, TraceData(()))


def git(directory: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=directory, capture_output=True, text=True, check=True).stdout.strip()


@given(st.lists(st.integers(0, 10**6), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_a_duration_that_occurs_and_that_this_part_does_not_exceed(durations: list[int], part: float) -> None:
    found = Version([trace(duration) for duration in durations]).duration_ms(part)
    assert found in durations
    assert sum(duration <= found for duration in durations) >= part * len(durations)
    assert sum(duration < found for duration in durations) < part * len(durations)


@given(st.lists(st.sampled_from(TraceState), min_size=1))
def test_the_error_rate_counts_the_traces_that_failed(states: list[TraceState]) -> None:
    assert Version([trace(state=state) for state in states]).error_rate == states.count(TraceState.ERROR) / len(states)


def test_releases_are_the_same_commits_on_main_whatever_the_user_has_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shas = []
    for number, configuration in enumerate(("", "[init]\n defaultBranch = trunk\n[commit]\n gpgSign = true\n[core]\n hooksPath = /nowhere\n")):
        home = tmp_path / f"home{number}"
        home.mkdir()
        (home / ".gitconfig").write_text(configuration, encoding="utf-8")
        monkeypatch.setenv("HOME", str(home))
        repository = Repository(tmp_path / f"checkout{number}", os.environ)
        shas.append((repository.commit(OLD), repository.commit(NEW)))
        assert git(repository.directory, "log", "--format=%s", "main").splitlines() == [NEW.subject, OLD.subject]
        assert git(repository.directory, "remote", "get-url", "origin") == URL
        assert git(repository.directory, "status", "--porcelain") == ""
    assert shas[0] == shas[1]
    assert shas[0][0] != shas[0][1]


def test_what_differs_between_releases_is_in_the_code_that_is_committed(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "checkout", os.environ)
    for release in (OLD, NEW.failing(0.25)):
        repository.commit(release)
        constants: dict[str, object] = {}
        exec(git(repository.directory, "show", "HEAD:tuning.py"), constants)  # noqa: S102 (made a line above)
        assert (constants["DOCUMENTS"], constants["RERANK"], constants["FAILURE_RATE"]) == (release.documents, release.rerank, release.failure_rate)


def test_the_application_is_python_that_compiles() -> None:
    templates = [file for file in (resources.files("spanhouse.cli.demo") / "app_files").iterdir() if file.name.endswith(".py.txt")]
    assert {file.name for file in templates} == {"main.py.txt", "answer.py.txt"}
    for file in templates:
        ast.parse(file.read_text(encoding="utf-8"), file.name)
