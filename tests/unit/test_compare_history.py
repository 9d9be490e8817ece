"""Commits in the order of a repository's history, whatever order their traces came in."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from spanhouse.query.compare.history import history, in_order

OFTEN = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def git(directory: Path, *words: str) -> str:
    who = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "init.defaultBranch=main"]
    return subprocess.run(
        ["git", *who, *words], cwd=directory, env={**os.environ, **OFTEN}, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(directory: Path, message: str) -> str:
    git(directory, "commit", "--allow-empty", "-m", message)
    return git(directory, "rev-parse", "HEAD")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    git(tmp_path, "init")
    return tmp_path


def test_commits_come_parents_first_also_across_a_merge_and_from_a_directory_below(clone: Path) -> None:
    commit(clone, "before all")
    first, second = commit(clone, "1"), commit(clone, "2")
    git(clone, "switch", "-c", "side", first)
    side = commit(clone, "side")
    git(clone, "switch", "main")
    git(clone, "merge", "--no-ff", "-m", "merge", "side")
    merge, last = git(clone, "rev-parse", "HEAD"), commit(clone, "last")
    (clone / "below").mkdir()
    ordered = history([last, merge, second, side, first], clone / "below")
    assert ordered[0] == first
    assert set(ordered[1:3]) == {second, side}
    assert ordered[3:] == [merge, last]
    assert history([last, first], clone) == [first, last], "the oldest of them is what the others come from"


def test_commits_without_a_common_ancestor_are_ordered_too(clone: Path) -> None:
    one = commit(clone, "one")
    git(clone, "switch", "--orphan", "other")
    other = commit(clone, "other")
    assert set(history([other, one], clone)) == {one, other}


def test_what_the_clone_does_not_have_is_not_in_it_and_options_are_no_commits(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    known = commit(clone, "known")
    assert history(["a" * 40, known, "--output=/tmp/x", "main", "v1"], clone) == [known]
    assert history(["a" * 40], clone) == []
    assert history([known], tmp_path_factory.mktemp("no clone")) == []
    assert history([known], clone / "missing") == []


def test_a_clone_is_found_where_it_is_though_a_git_hook_calls(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = commit(clone, "known")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert history([known], clone) == [known]


def test_without_git_there_is_no_history(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = commit(clone, "known")
    monkeypatch.setenv("PATH", str(clone / "empty"))
    assert history([known], clone) == []


def test_a_version_that_the_history_does_not_have_follows_the_one_seen_before_it() -> None:
    assert in_order(["c", "local", "a", "b", "other"], ["a", "b", "c"]) == ["a", "b", "other", "c", "local"]
    assert in_order(["local", "b", "a"], ["a", "b"]) == ["local", "a", "b"]
    assert in_order(["b", "a"], []) == ["b", "a"]
