"""What real repositories say about the checked-out version, in all the forms that git gives them."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from tests.support.checkout import Checkout

from spanhouse.processor.git.executable import ask_head
from spanhouse.processor.git.repository import Head, find_repository, read_head, remote_url


def head_of(directory: Path, environ: dict[str, str] | None = None) -> Head:
    repository = find_repository(str(directory), environ or {})
    assert repository is not None
    return read_head(repository)


def test_a_subdirectory_belongs_to_the_repository_above_it(checkout: Checkout) -> None:
    commit = checkout.commit("src/app/main.py")
    repository = find_repository(str(checkout.root / "src" / "app"), {})
    assert repository is not None
    assert repository.root == str(checkout.root.resolve())
    assert read_head(repository) == (commit, "main")


def test_a_branch_may_have_slashes_and_letters_of_any_language(checkout: Checkout) -> None:
    commit = checkout.commit("a")
    checkout.git("switch", "--quiet", "--create", "feature/früh/v1.2")
    assert head_of(checkout.root) == (commit, "feature/früh/v1.2")


def test_packed_references_are_read_and_loose_ones_win_over_them(checkout: Checkout) -> None:
    first = checkout.commit("a")
    checkout.git("tag", "--annotate", "v1", "--message", "x")
    checkout.git("branch", "main-2")
    checkout.git("pack-refs", "--all", "--prune")
    assert not (checkout.root / ".git/refs/heads/main").exists()
    assert head_of(checkout.root) == (first, "main")
    second = checkout.commit("b")
    assert head_of(checkout.root) == (second, "main")


def test_a_detached_head_has_a_commit_and_no_branch(checkout: Checkout) -> None:
    commit = checkout.commit("a")
    checkout.git("checkout", "--quiet", "--detach")
    assert head_of(checkout.root) == (commit, None)


def test_before_the_first_commit_there_is_only_a_branch(checkout: Checkout) -> None:
    assert head_of(checkout.root) == (None, "main")


def test_a_worktree_has_its_own_branch_and_the_common_remote(checkout: Checkout, tmp_path: Path) -> None:
    commit = checkout.commit("a")
    checkout.git("remote", "add", "origin", "https://example.com/o/r.git")
    checkout.git("worktree", "add", "--quiet", "-b", "topic", str(tmp_path / "tree"))
    repository = find_repository(str(tmp_path / "tree"), {})
    assert repository is not None
    assert read_head(repository) == (commit, "topic")
    assert remote_url(repository) == "https://example.com/o/r.git"


def test_a_submodule_is_a_repository_of_its_own(checkout: Checkout, tmp_path: Path) -> None:
    library = Checkout(tmp_path / "library")
    commit = library.commit("lib.py")
    checkout.git("submodule", "--quiet", "add", str(library.root), "lib")
    repository = find_repository(str(checkout.root / "lib"), {})
    assert repository is not None
    assert repository.root == str((checkout.root / "lib").resolve())
    assert read_head(repository)[0] == commit


def test_a_shallow_clone_has_its_commit(checkout: Checkout, tmp_path: Path) -> None:
    checkout.commit("a")
    commit = checkout.commit("b")
    checkout.git("clone", "--quiet", "--depth", "1", f"file://{checkout.root}", str(tmp_path / "clone"))
    repository = find_repository(str(tmp_path / "clone"), {})
    assert repository is not None
    assert read_head(repository) == (commit, "main")
    assert remote_url(repository) is None, "a local path stays on the machine"


def test_a_checkout_that_git_refuses_for_its_owner_is_read_like_any_other(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = checkout.commit("a")
    refusing = os.environ | {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    refused = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout.root, env=refusing, capture_output=True, text=True, check=False)
    assert "dubious ownership" in refused.stderr
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert head_of(checkout.root) == (commit, "main")


def test_a_repository_of_sha256_has_long_ids(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "app", "--object-format=sha256")
    commit = checkout.commit("a")
    assert len(commit) == 64
    assert head_of(checkout.root) == (commit, "main")


def test_head_may_be_a_symbolic_link_as_in_old_repositories(checkout: Checkout) -> None:
    commit = checkout.commit("a")
    (checkout.root / ".git/HEAD").unlink()
    (checkout.root / ".git/HEAD").symlink_to("refs/heads/main")
    assert head_of(checkout.root) == (commit, "main")


def test_a_branch_may_be_another_name_for_a_branch(checkout: Checkout) -> None:
    commit = checkout.commit("a")
    checkout.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    checkout.git("symbolic-ref", "HEAD", "refs/heads/alias")
    assert head_of(checkout.root) == (commit, checkout.git("branch", "--show-current")) == (commit, "main")


def test_origin_goes_before_other_remotes_and_the_first_fit_one_before_none(checkout: Checkout) -> None:
    repository = find_repository(str(checkout.root), {})
    assert repository is not None
    assert remote_url(repository) is None
    checkout.git("remote", "add", "local", "/srv/r.git")
    checkout.git("remote", "add", "fork", "https://token@github.com/fork/r.git")
    repository = find_repository(str(checkout.root), {})
    assert repository is not None
    assert remote_url(repository) == "https://github.com/fork/r.git"
    checkout.git("remote", "add", "origin", "git@github.com:o/r.git")
    repository = find_repository(str(checkout.root), {})
    assert repository is not None
    assert remote_url(repository) == "git@github.com:o/r.git"


def test_a_directory_called_dot_git_that_is_no_repository_is_passed_over(checkout: Checkout) -> None:
    commit = checkout.commit("a")
    (checkout.root / "inner/.git").mkdir(parents=True)
    assert head_of(checkout.root / "inner") == (commit, "main")


def test_a_dot_git_file_that_leads_nowhere_is_no_repository_and_ends_the_search(checkout: Checkout) -> None:
    checkout.commit("a")
    checkout.write("inner/.git", "gitdir: /nowhere/at/all\n")
    assert find_repository(str(checkout.root / "inner"), {}) is None


def test_git_dir_and_git_work_tree_name_a_repository_for_the_files_in_it_only(checkout: Checkout, tmp_path: Path) -> None:
    commit = checkout.commit("a")
    (checkout.root / ".git").rename(tmp_path / "elsewhere.git")
    environ = {"GIT_DIR": str(tmp_path / "elsewhere.git"), "GIT_WORK_TREE": str(checkout.root)}
    assert head_of(checkout.root, environ) == (commit, "main")
    other = Checkout(tmp_path / "other")
    assert head_of(other.root, environ) == (None, "main")


def test_a_directory_outside_of_any_repository_has_none(tmp_path: Path) -> None:
    assert find_repository(str(tmp_path), {}) is None


@pytest.mark.parametrize(
    "head",
    [b"", b"\x00\x01", b"ref: ", b"ref: refs/heads/../../config", b"ref: /etc/passwd", b"ref: refs/heads/a b", b"g" * 40, b"a" * 39, b"0" * 40],
)
def test_a_damaged_head_says_nothing(checkout: Checkout, head: bytes) -> None:
    checkout.commit("a")
    (checkout.root / ".git/HEAD").write_bytes(head)
    assert head_of(checkout.root) == (None, None)


def test_references_that_go_round_in_circles_say_nothing(checkout: Checkout) -> None:
    (checkout.root / ".git/refs/heads/main").write_text("ref: refs/heads/main\n")
    assert head_of(checkout.root) == (None, "main")


def test_the_git_executable_is_asked_with_everything_off_that_a_repository_can_have_run(checkout: Checkout, tmp_path: Path) -> None:
    commit = checkout.commit("a")
    trap = tmp_path / "trap"
    hook = checkout.write("hook", f"#!/bin/sh\ntouch {trap}\n")
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
    checkout.git("config", "core.fsmonitor", str(hook))
    repository = find_repository(str(checkout.root), {})
    assert repository is not None
    assert ask_head(repository, {"PATH": os.environ["PATH"]}) == (commit, "main")
    assert not trap.exists()
    assert ask_head(repository, {"PATH": str(tmp_path)}) == (None, None), "without git nothing is known"


def test_a_repository_with_reftables_is_recognised(checkout: Checkout) -> None:
    checkout.commit("a")
    checkout.git("config", "extensions.refStorage", "reftable")
    repository = find_repository(str(checkout.root), {})
    assert repository is not None
    assert repository.uses_reftable
