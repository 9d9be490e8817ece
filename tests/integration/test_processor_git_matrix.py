"""One application in every form that git gives a checkout: what is stamped is what git itself says, with and without git at hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support.checkout import GIT_ENVIRONMENT, Checkout
from tests.support.programs import finish, start

from spanhouse.processor.git.repository import find_repository, read_head

URL = "https://github.com/acme/shop.git"
APP = """
import json, sys
if sys.argv[1] == "alone":
    forbidden = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "os.startfile", "pty.spawn", "socket.connect")
    def watch(event, arguments):
        if event in forbidden:
            sys.stderr.write(event)
            sys.exit(3)
    sys.addaudithook(watch)
from spanhouse.processor import configure
print(json.dumps(dict(configure(export=False).resource.attributes)))
"""


class Case(NamedTuple):
    """A checkout with an application.

    Attributes:
        script: path of the application.
        ask: directory where git is asked, with the variables that the application has, too.
        name: what the entry point is called.
        cwd: where the application is started.
        environ: its variables.
    """

    script: Path
    ask: Path
    name: str = "src/app.py"
    cwd: Path = Path(os.sep)
    environ: tuple[tuple[str, str], ...] = ()


def made(root: Path, *init: str) -> Checkout:
    checkout = Checkout(root, *init)
    checkout.git("remote", "add", "origin", URL)
    checkout.write("src/app.py", APP)
    checkout.commit()
    return checkout


def at(root: Path) -> Case:
    return Case(root / "src" / "app.py", root)


def loose(root: Path) -> Case:
    return at(made(root / "shop").root)


def packed(root: Path) -> Case:
    checkout = made(root / "shop")
    checkout.git("tag", "--annotate", "--message", "x", "v1")
    checkout.git("pack-refs", "--all", "--prune")
    assert not (checkout.root / ".git/refs/heads/main").exists()
    return at(checkout.root)


def packed_and_newer(root: Path) -> Case:
    checkout = made(root / "shop")
    checkout.git("pack-refs", "--all", "--prune")
    checkout.commit("later")
    return at(checkout.root)


def packed_with_many(root: Path) -> Case:
    checkout = made(root / "shop")
    commit = checkout.git("rev-parse", "HEAD")
    checkout.git("pack-refs", "--all")
    lines = sorted([f"{commit} refs/heads/main", *(f"{'1' * 40} refs/{kind}/{number:06}" for number in range(40_000) for kind in ("heads", "tags"))])
    lines.sort(key=lambda line: line[41:].encode())
    (checkout.root / ".git/refs/heads/main").unlink(missing_ok=True)
    checkout.write(".git/packed-refs", "# pack-refs with: peeled fully-peeled sorted \n" + "".join(f"{line}\n" for line in lines))
    assert (checkout.root / ".git/packed-refs").stat().st_size > 4 << 20
    return at(checkout.root)


def worktree(root: Path) -> Case:
    made(root / "shop").git("worktree", "add", "--quiet", "-b", "topic/ünï", str(root / "tree"))
    return at(root / "tree")


def worktree_of_a_bare_repository(root: Path) -> Case:
    made(root / "shop").git("clone", "--quiet", "--bare", str(root / "shop"), str(root / "bare.git"))
    bare = ("git", "-C", str(root / "bare.git"))
    subprocess.run([*bare, "remote", "set-url", "origin", URL], check=True, capture_output=True)
    subprocess.run([*bare, "worktree", "add", "--quiet", "-b", "topic", str(root / "tree")], check=True, capture_output=True)
    return at(root / "tree")


def submodule(root: Path) -> Case:
    made(root / "library")
    outer = Checkout(root / "outer")
    outer.git("submodule", "--quiet", "add", str(root / "library"), "inner")
    subprocess.run(["git", "-C", str(root / "outer/inner"), "remote", "set-url", "origin", URL], check=True)
    assert (root / "outer/inner/.git").is_file()
    return at(root / "outer/inner")


def repository_elsewhere(root: Path) -> Case:
    return at(made(root / "shop", f"--separate-git-dir={root / 'kept'}").root)


def bare(root: Path) -> Case:
    made(root / "shop").git("clone", "--quiet", "--bare", str(root / "shop"), str(root / "bare.git"))
    subprocess.run(["git", "-C", str(root / "bare.git"), "remote", "set-url", "origin", URL], check=True)
    hook = root / "bare.git/hooks/app.py"
    hook.write_text(APP)
    return Case(hook, hook.parent, "hooks/app.py")


def detached(root: Path) -> Case:
    checkout = made(root / "shop")
    checkout.git("checkout", "--quiet", "--detach")
    return at(checkout.root)


def shallow(root: Path) -> Case:
    made(root / "shop").commit("later")
    made(root / "other").git("clone", "--quiet", "--depth", "1", f"file://{root / 'shop'}", str(root / "clone"))
    subprocess.run(["git", "-C", str(root / "clone"), "remote", "set-url", "origin", URL], check=True)
    return at(root / "clone")


def without_a_commit(root: Path) -> Case:
    checkout = Checkout(root / "shop")
    checkout.git("remote", "add", "origin", URL)
    checkout.write("src/app.py", APP)
    return at(checkout.root)


def sha256(root: Path) -> Case:
    return at(made(root / "shop", "--object-format=sha256").root)


def behind_a_link_to_the_script(root: Path) -> Case:
    case = loose(root)
    (root / "bin").mkdir()
    (root / "bin/run.py").symlink_to(case.script)
    return case._replace(script=root / "bin/run.py")


def behind_a_link_to_the_checkout(root: Path) -> Case:
    case = loose(root)
    (root / "current").symlink_to(root / "shop")
    return case._replace(script=root / "current/src/app.py")


def behind_a_link_to_the_repository(root: Path) -> Case:
    case = loose(root)
    (root / "shop/.git").rename(root / "kept")
    (root / "shop/.git").symlink_to(root / "kept")
    return case


def started_in_another_repository(root: Path) -> Case:
    Checkout(root / "other").commit("a")
    return loose(root)._replace(cwd=root / "other")


def named_by_variables(root: Path) -> Case:
    case = loose(root)
    (root / "shop/.git").rename(root / "kept")
    variables = (("GIT_DIR", str(root / "kept")), ("GIT_WORK_TREE", str(root / "shop")))
    return case._replace(environ=variables)


def named_by_variables_for_other_files(root: Path) -> Case:
    Checkout(root / "other").commit("a")
    case = loose(root)
    return case._replace(environ=(("GIT_DIR", str(root / "other/.git")), ("GIT_WORK_TREE", str(root / "other"))), ask=root / "shop")


def on_another_name_of_a_branch(root: Path) -> Case:
    checkout = made(root / "shop")
    checkout.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    checkout.git("symbolic-ref", "HEAD", "refs/heads/alias")
    return at(checkout.root)


def during_a_rebase(root: Path) -> Case:
    checkout = made(root / "shop")
    checkout.git("checkout", "--quiet", "-b", "topic")
    checkout.write("note", "a")
    checkout.commit("note")
    checkout.git("checkout", "--quiet", "main")
    checkout.write("note", "b")
    checkout.commit("note")
    checkout.git("rebase", "main", "topic", check=False)
    assert (checkout.root / ".git/rebase-merge").exists()
    return at(checkout.root)


CASES: tuple[Callable[[Path], Case], ...] = (
    *(loose, packed, packed_and_newer, packed_with_many, worktree, worktree_of_a_bare_repository, submodule, repository_elsewhere, bare),
    *(detached, shallow, without_a_commit, sha256, behind_a_link_to_the_script, behind_a_link_to_the_checkout, behind_a_link_to_the_repository),
    *(started_in_another_repository, named_by_variables, named_by_variables_for_other_files, on_another_name_of_a_branch, during_a_rebase),
)


def ask(case: Case, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    is_about_other_files = case.environ and not case.script.is_relative_to(dict(case.environ)["GIT_WORK_TREE"])
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | GIT_ENVIRONMENT
    environ |= variables | ({} if is_about_other_files else dict(case.environ))
    return subprocess.run(["git", *command], cwd=case.ask, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("surroundings", ["with git", "alone", "with a foreign owner"])
@pytest.mark.parametrize("make", CASES, ids=[make.__name__ for make in CASES])
def test_what_is_stamped_is_what_git_says(make: Callable[[Path], Case], surroundings: str, tmp_path: Path) -> None:
    case = make(tmp_path)
    commit, branch, url = (
        ask(case, *command).stdout.strip() or None
        for command in (("rev-parse", "--quiet", "--verify", "HEAD"), ("symbolic-ref", "--quiet", "HEAD"), ("config", "--get", "remote.origin.url"))
    )
    environ = dict(case.environ)
    if surroundings == "alone":
        environ["PATH"] = ""
    if surroundings == "with a foreign owner":
        environ["GIT_TEST_ASSUME_DIFFERENT_OWNER"] = "1"
        refused = ask(case, "rev-parse", "HEAD", GIT_TEST_ASSUME_DIFFERENT_OWNER="1")
        assert make is named_by_variables or refused.returncode != 0, "git looks at the owner unless it is told where the repository is"
    command = [sys.executable, str(case.script), "alone" if surroundings == "alone" else "-"]
    values = json.loads(finish(start(command, cwd=case.cwd, environ=environ)))
    assert values.get("mlflow.source.git.commit") == values.get("vcs.ref.head.revision") == commit
    assert values.get("mlflow.source.git.branch") == values.get("vcs.ref.head.name") == (branch.removeprefix("refs/heads/") if branch else None)
    assert values.get("mlflow.source.git.repoURL") == url == URL
    assert values["mlflow.source.name"] == case.name


def test_every_reference_of_a_large_packed_file_is_found_and_no_other(tmp_path: Path) -> None:
    case = packed_with_many(tmp_path)
    checkout = tmp_path / "shop"
    repository = find_repository(str(checkout), {})
    assert repository is not None
    found = {}
    for name in (
        "heads/000000",
        "heads/039999",
        "heads/main",
        "tags/000000",
        "tags/012345",
        "tags/039999",
        "heads/0000000",
        "tags/04",
        "heads/a",
        "z/z",
    ):
        (checkout / ".git/HEAD").write_text(f"ref: refs/{name}\n")
        found[name] = read_head(repository)[0]
        assert found[name] == (ask(case, "rev-parse", "--quiet", "--verify", "HEAD").stdout.strip() or None), name
    assert len([commit for commit in found.values() if commit]) == 6
