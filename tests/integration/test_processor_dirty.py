"""Whether tracked files differ from HEAD: the same answer as git's, or none."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.checkout import Checkout

from spanhouse.processor.git.dirty import DirtyUnknownError, OutOfTimeError, is_dirty
from spanhouse.processor.git.repository import find_repository, read_head

PLENTY = 60.0


def check(checkout: Checkout, *, timeout_seconds: float = PLENTY, environ: dict[str, str] | None = None) -> bool:
    repository = find_repository(str(checkout.root), {})
    assert repository is not None
    commit, _ = read_head(repository)
    assert commit is not None
    return is_dirty(repository, commit, environ=environ or {}, timeout_seconds=timeout_seconds)


@pytest.fixture
def checkout(checkout: Checkout) -> Checkout:
    checkout.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    checkout.write("src/deep/down/module.py", "x = 1\n")
    checkout.write("src/deep.py", "y = 1\n")
    checkout.write("src-other/module.py", "z = 1\n")
    checkout.write("empty", "")
    (checkout.root / "link").symlink_to("src/deep.py")
    checkout.commit()
    return checkout


def age(checkout: Checkout) -> None:
    """Move files back in time, so that their stat data can be trusted, and let git take note."""
    for path in checkout.root.rglob("*"):
        if ".git" not in path.parts:
            os.utime(path, (1_600_000_000, 1_600_000_000), follow_symlinks=False)
    checkout.git("update-index", "-q", "--refresh")


def edit(checkout: Checkout) -> None:
    checkout.write("src/deep.py", "y = 2\n")


def edit_to_other_length(checkout: Checkout) -> None:
    checkout.write("src/deep.py", "y = 2000\n")


def delete(checkout: Checkout) -> None:
    (checkout.root / "empty").unlink()


def delete_directory(checkout: Checkout) -> None:
    (checkout.root / "src-other/module.py").unlink()
    (checkout.root / "src-other").rmdir()


def stage_edit(checkout: Checkout) -> None:
    edit(checkout)
    checkout.git("add", "src/deep.py")


def stage_edit_then_undo_in_the_file(checkout: Checkout) -> None:
    stage_edit(checkout)
    checkout.write("src/deep.py", "y = 1\n")


def stage_new(checkout: Checkout) -> None:
    checkout.write("src/deep/new.py")
    checkout.git("add", "src/deep/new.py")


def announce_new(checkout: Checkout) -> None:
    checkout.write("new.py")
    checkout.git("add", "--intent-to-add", "new.py")


def stage_removal(checkout: Checkout) -> None:
    checkout.git("rm", "--quiet", "--cached", "empty")


def rename(checkout: Checkout) -> None:
    checkout.git("mv", "empty", "void")


def drop_executable_bit(checkout: Checkout) -> None:
    (checkout.root / "run.sh").chmod(0o644)


def redirect_link(checkout: Checkout) -> None:
    (checkout.root / "link").unlink()
    (checkout.root / "link").symlink_to("src/gone.py")


def link_becomes_file(checkout: Checkout) -> None:
    (checkout.root / "link").unlink()
    checkout.write("link", "src/deep.py")


def file_becomes_directory(checkout: Checkout) -> None:
    (checkout.root / "empty").unlink()
    (checkout.root / "empty").mkdir()


def directory_becomes_link(checkout: Checkout) -> None:
    (checkout.root / "src-other").rename(checkout.root / "moved")
    (checkout.root / "src-other").symlink_to("moved")


def touch(checkout: Checkout) -> None:
    (checkout.root / "src/deep.py").touch()


def replace_by_equal(checkout: Checkout) -> None:
    path = checkout.root / "src/deep.py"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


def add_untracked(checkout: Checkout) -> None:
    checkout.write("src/untracked.py")


def leave_alone(checkout: Checkout) -> None:
    """Nothing happens."""


def edit_and_undo(checkout: Checkout) -> None:
    stage_edit(checkout)
    checkout.write("src/deep.py", "y = 1\n")
    checkout.git("add", "src/deep.py")


CHANGES = [
    edit,
    edit_to_other_length,
    delete,
    delete_directory,
    stage_edit,
    stage_edit_then_undo_in_the_file,
    stage_new,
    announce_new,
    stage_removal,
    rename,
    drop_executable_bit,
    redirect_link,
    link_becomes_file,
    file_becomes_directory,
    directory_becomes_link,
]
NO_CHANGES = [leave_alone, touch, replace_by_equal, add_untracked, edit_and_undo]


@pytest.mark.parametrize("version", ["2", "4"])
@pytest.mark.parametrize("aged", [False, True], ids=["fresh", "aged"])
@pytest.mark.parametrize(
    ("change", "dirty"),
    [(change, True) for change in CHANGES] + [(change, False) for change in NO_CHANGES],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_change_is_seen_as_git_sees_it(checkout: Checkout, change: Callable[[Checkout], None], dirty: bool, aged: bool, version: str) -> None:
    checkout.git("update-index", "--index-version", version)
    if aged:
        age(checkout)
    change(checkout)
    assert check(checkout) is dirty
    assert checkout.is_dirty is dirty
    assert check(checkout) is dirty, "git's own look at the files changes nothing"


@pytest.mark.parametrize("aged", [False, True], ids=["fresh", "aged"])
def test_an_edit_that_restores_the_time_is_seen_even_where_git_overlooks_it(checkout: Checkout, aged: bool) -> None:
    if aged:
        age(checkout)
    path = checkout.root / "src/deep.py"
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        path.write_text("y = 3\n")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert check(checkout)


def test_nothing_in_the_repository_is_written(checkout: Checkout) -> None:
    touch(checkout)
    before = {path: path.stat().st_mtime_ns for path in checkout.root.rglob("*")}
    assert not check(checkout)
    assert {path: path.stat().st_mtime_ns for path in checkout.root.rglob("*")} == before


@pytest.mark.parametrize("deltas", [0, 50])
def test_the_commit_is_found_in_packs_with_and_without_deltas(checkout: Checkout, deltas: int) -> None:
    for number in range(30):
        checkout.git("commit", "--quiet", "--allow-empty", "--message", f"{'a long message that deltas well ' * 20}{number}")
    checkout.git("-c", "repack.writeBitmaps=false", "repack", "-a", "-d", "-f", "-q", f"--depth={deltas}", "--window=50")
    checkout.git("prune-packed", "--quiet")
    checkout.git("reset", "--quiet", "--soft", "HEAD~7")
    assert not check(checkout)
    edit(checkout)
    assert check(checkout)


def test_objects_of_an_alternate_are_found(checkout: Checkout, tmp_path: Path) -> None:
    checkout.git("clone", "--quiet", "--shared", str(checkout.root), str(tmp_path / "clone"))
    clone = Checkout(tmp_path / "clone")
    stage_edit(clone)
    edit_and_undo(clone)
    assert not check(clone)


def test_trees_of_sha256_are_compared(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "app", "--object-format=sha256")
    checkout.commit("src/a.py")
    assert not check(checkout)
    checkout.write("src/a.py", "other\n")
    assert check(checkout)


def test_a_conflict_is_a_change(checkout: Checkout) -> None:
    checkout.git("switch", "--quiet", "--create", "other")
    edit(checkout)
    checkout.commit()
    checkout.git("switch", "--quiet", "main")
    edit_to_other_length(checkout)
    checkout.commit()
    checkout.git("merge", "other", check=False)
    assert check(checkout)


def test_files_that_git_is_told_to_leave_alone_do_not_count(checkout: Checkout) -> None:
    checkout.git("update-index", "--assume-unchanged", "src/deep.py")
    checkout.git("update-index", "--skip-worktree", "empty")
    edit(checkout)
    delete(checkout)
    assert not check(checkout)


@pytest.mark.parametrize("form", ["--no-sparse-index", "--sparse-index"])
def test_a_sparse_checkout_is_clean_and_its_files_are_watched(checkout: Checkout, form: str) -> None:
    checkout.git("sparse-checkout", "set", "--cone", form, "src-other")
    assert not (checkout.root / "src/deep.py").exists()
    assert not check(checkout)
    checkout.write("src-other/module.py", "changed\n")
    assert check(checkout)


def test_a_submodule_counts_by_its_commit(checkout: Checkout, tmp_path: Path) -> None:
    library = Checkout(tmp_path / "library")
    library.commit("lib.py")
    checkout.git("submodule", "--quiet", "add", str(library.root), "lib")
    checkout.commit()
    inner = Checkout(checkout.root / "lib")
    assert not check(checkout)
    inner.write("lib.py", "changed\n")
    assert not check(checkout), "what changed inside of a submodule is its own affair"
    inner.commit()
    assert check(checkout)


def test_a_split_index_leaves_the_answer_open(checkout: Checkout) -> None:
    checkout.git("update-index", "--split-index")
    with pytest.raises(DirtyUnknownError):
        check(checkout)


def test_an_index_without_checksum_is_read(checkout: Checkout) -> None:
    index = checkout.root / ".git/index"
    index.write_bytes(index.read_bytes()[:-20] + bytes(20))
    assert not check(checkout)
    edit(checkout)
    assert check(checkout)


def test_a_filter_is_not_run_and_leaves_the_answer_open_only_for_files_that_it_may_concern(checkout: Checkout, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    script = tmp_path / "filter.sh"
    script.write_text(f"#!/bin/sh\ntouch {trap}\ntr a-z A-Z\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    checkout.write(".gitattributes", "*.big filter=shout\n")
    checkout.write("data.big", "STORED\n")
    checkout.commit()
    checkout.git("config", "filter.shout.clean", str(script))
    assert not check(checkout)
    checkout.write("data.big", "stored\n")
    with pytest.raises(DirtyUnknownError, match="filter"):
        check(checkout)
    edit(checkout)
    assert check(checkout)
    assert not trap.exists()


def test_line_endings_that_a_setting_may_allow_leave_the_answer_open(checkout: Checkout) -> None:
    checkout.write("src/deep.py", "y = 1\r\n")
    with pytest.raises(DirtyUnknownError, match="line endings"):
        check(checkout)
    checkout.write("src/deep.py", "y = 2\r\n")
    assert check(checkout)


def test_a_global_attributes_file_counts(checkout: Checkout, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[core]\nattributesFile = ~/attributes\n")
    (home / "attributes").write_text("* filter=x\n")
    edit(checkout)
    with pytest.raises(DirtyUnknownError, match="filter"):
        check(checkout, environ={"HOME": str(home)})


def test_the_executable_bit_counts_only_where_the_file_system_has_one(checkout: Checkout) -> None:
    checkout.git("config", "core.fileMode", "false")
    drop_executable_bit(checkout)
    assert not check(checkout)


def test_a_check_that_takes_too_long_gives_up(checkout: Checkout) -> None:
    with pytest.raises(OutOfTimeError):
        check(checkout, timeout_seconds=-1.0)


@pytest.mark.parametrize("lost", [".git/index", ".git/objects"])
def test_a_repository_with_parts_missing_leaves_the_answer_open(checkout: Checkout, lost: str) -> None:
    repository = find_repository(str(checkout.root), {})
    assert repository is not None
    commit, _ = read_head(repository)
    assert commit is not None
    (checkout.root / lost).rename(checkout.root / "moved")
    with pytest.raises(DirtyUnknownError):
        is_dirty(repository, commit, environ={}, timeout_seconds=PLENTY)


def test_a_tree_of_a_thousand_files_is_compared_without_the_cached_trees(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "app")
    for number in range(1000):
        checkout.write(f"d{number % 7}/e{number % 3}/f.{number}", f"{number}\n")
    checkout.commit()
    checkout.write("d1/e1/f.1", "staged\n")
    checkout.git("add", "d1/e1/f.1")
    assert check(checkout)
    checkout.git("reset", "--quiet", "--mixed", "HEAD")
    checkout.write("d1/e1/f.1", "1\n")
    checkout.git("add", "d1/e1/f.1")
    assert not check(checkout)


def test_no_process_is_started(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    edit(checkout)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(os, "system", refuse)
    assert check(checkout)
