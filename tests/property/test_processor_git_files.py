"""Damaged and random files of a repository: never an exception, never a wrong answer; and random changes, as git sees them."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.checkout import Checkout

from spanhouse.processor.git.config import GitConfig
from spanhouse.processor.git.dirty import DirtyUnknownError, is_dirty
from spanhouse.processor.git.remotes import browser_url, scrub
from spanhouse.processor.git.repository import find_repository, read_head
from spanhouse.processor.sources.capture import Capture
from spanhouse.processor.sources.entry_point import EntryPoint
from spanhouse.schema import vocabulary

USUAL = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A clean repository with loose and packed parts, whose files are old."""
    checkout = Checkout(tmp_path_factory.mktemp("original") / "app")
    checkout.commit("a.py", "src/b.py", "src/c/d.py")
    checkout.git("remote", "add", "origin", "https://github.com/o/r.git")
    checkout.git("gc", "--quiet")
    checkout.commit("e.py")
    return checkout


@contextlib.contextmanager
def copied(checkout: Checkout) -> Iterator[Checkout]:
    """A copy of a repository, which takes its index' stat data with it and so has to be compared by content."""
    with tempfile.TemporaryDirectory() as directory:
        shutil.copytree(checkout.root, Path(directory) / "app", symlinks=True)
        yield Checkout(Path(directory) / "app")


def capture(checkout: Checkout) -> dict[str, str]:
    entry = EntryPoint("script", "a.py", str((checkout.root / "a.py").resolve()), str(checkout.root.resolve()))
    return {key: value.text for found in Capture(entry, {}).sources(None) for key, value in found.items()}


@USUAL
@given(name=st.sampled_from([".git/HEAD", ".git/refs/heads/main", ".git/config", ".git/packed-refs", ".git/commondir"]), data=st.data())
def test_a_damaged_repository_gives_right_values_or_none(original: Checkout, name: str, data: st.DataObject) -> None:
    commit = original.git("rev-parse", "HEAD")
    with copied(original) as checkout:
        file = checkout.root / name
        content = file.read_bytes() if file.exists() else b""
        cut = data.draw(st.integers(0, len(content)), label="cut")
        junk = data.draw(st.binary(max_size=60), label="junk")
        file.write_bytes(data.draw(st.sampled_from([junk, content[:cut] + junk, content[:cut] + junk + content[cut:]]), label="damage"))
        found = capture(checkout)
        if vocabulary.GIT_COMMIT.mlflow in found and found[vocabulary.GIT_COMMIT.mlflow] != commit:
            told = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout.root, capture_output=True, text=True, check=False).stdout.strip()
            assert found[vocabulary.GIT_COMMIT.mlflow] == told.lower()
        assert all(text for text in found.values())


@USUAL
@given(junk=st.binary(max_size=400), keep_magic=st.booleans(), data=st.data())
def test_a_damaged_index_gives_no_answer_or_the_right_one(original: Checkout, junk: bytes, keep_magic: bool, data: st.DataObject) -> None:
    with copied(original) as checkout:
        repository = find_repository(str(checkout.root), {})
        assert repository is not None
        commit, _ = read_head(repository)
        assert commit is not None
        index = checkout.root / ".git/index"
        content = bytearray(index.read_bytes())
        position = data.draw(st.integers(0, len(content)), label="position")
        damaged = b"DIRC\x00\x00\x00\x02" + junk if keep_magic else bytes(content[:position]) + junk + bytes(content[position + len(junk) :])
        index.write_bytes(damaged)
        with contextlib.suppress(DirtyUnknownError):
            assert not is_dirty(repository, commit, environ={}, timeout_seconds=60)


@USUAL
@given(data=st.data())
def test_damaged_objects_give_no_answer_or_the_right_one(original: Checkout, data: st.DataObject) -> None:
    with copied(original) as checkout:
        checkout.git("gc", "--quiet")
        repository = find_repository(str(checkout.root), {})
        assert repository is not None
        commit, _ = read_head(repository)
        assert commit is not None
        file = data.draw(st.sampled_from(sorted((checkout.root / ".git/objects/pack").glob("*.[ip]*"))), label="file")
        content = bytearray(file.read_bytes())
        for _ in range(data.draw(st.integers(1, 20), label="bytes")):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        file.chmod(0o644)
        file.write_bytes(content)
        with contextlib.suppress(DirtyUnknownError):
            assert not is_dirty(repository, commit, environ={}, timeout_seconds=60)


names = st.sampled_from(["a", "a.b", "a-b", "b", "B", "é", "z z"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)


@USUAL
@given(
    committed=st.dictionaries(paths, st.binary(max_size=3), min_size=1, max_size=8),
    staged=st.dictionaries(paths, st.binary(max_size=3), max_size=3),
    changed=st.dictionaries(paths, st.binary(max_size=3), max_size=3),
    version=st.sampled_from(["2", "4"]),
)
def test_any_tree_with_any_changes_is_judged_as_git_judges_it(
    committed: dict[str, bytes], staged: dict[str, bytes], changed: dict[str, bytes], version: str
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        checkout = Checkout(Path(directory))
        checkout.git("config", "index.version", version)

        def put(files: dict[str, bytes]) -> None:
            for path, content in files.items():
                # A name that is a directory elsewhere, or below a file, is left out.
                with contextlib.suppress(FileExistsError, NotADirectoryError, IsADirectoryError):
                    checkout.write(path, content)

        put(committed)
        checkout.commit()
        put(staged)
        checkout.git("add", "--update")
        put(changed)
        repository = find_repository(directory, {})
        assert repository is not None
        commit, _ = read_head(repository)
        assert commit is not None
        try:
            answer = is_dirty(repository, commit, environ={}, timeout_seconds=60)
        except DirtyUnknownError as error:
            assert "line endings" in str(error)  # noqa: PT017  the only doubt that there can be
        else:
            assert answer is checkout.is_dirty


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=12)


@USUAL
@given(st.dictionaries(st.from_regex(r"[a-zA-Z][a-zA-Z0-9-]{0,6}", fullmatch=True), words, min_size=1, max_size=4), words)
def test_what_git_writes_into_a_configuration_is_read_back(settings_: dict[str, str], subsection: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "config"
        expected = {}
        for key, value in settings_.items():
            done = subprocess.run(["git", "config", "--file", str(file), f"part.{subsection}.{key}", value], check=False, capture_output=True)
            if done.returncode == 0:
                expected[key.lower()] = value
        config = GitConfig()
        config.read(str(file))
        assert {key: config.get("part", key, subsection) for key in expected} == expected


@given(st.text(max_size=80))
def test_no_text_makes_the_scrubbing_of_urls_fail(url: str) -> None:
    scrub(url)
    browser_url(url)


@given(
    scheme=st.sampled_from(["https://", "http://", "ssh://", ""]),
    user=st.from_regex(r"[a-z-]{1,8}", fullmatch=True),
    password=st.from_regex(r"[A-Z0-9@:!$%._~+=-]{6,20}", fullmatch=True),
)
def test_no_password_outlives_the_scrubbing(scheme: str, user: str, password: str) -> None:
    for url in (
        f"{scheme}{user}:{password}@host.example.com{'/' if scheme else ':'}o/r.git",
        f"{scheme}{password}@h.example.com{'/' if scheme else ':'}o/r",
    ):
        for shown in (scrub(url), browser_url(url)):
            assert shown is None or password not in shown
