"""Repositories that are broken in ways that could stop a reader: it neither raises nor waits, and says why once."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.checkout import Checkout
from tests.support.programs import finish, start

from spanhouse.processor.sources.capture import Capture
from spanhouse.processor.sources.entry_point import EntryPoint

TWO_GIGABYTES = 2 << 30
APP = """
import logging, sys, threading
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="%(levelname)s %(message)s")
from opentelemetry import trace
from spanhouse.processor import MetadataResourceDetector, configure
configure(export=False)
configure(export=False)
MetadataResourceDetector().detect()
for thread in threading.enumerate():
    if thread.name == "spanhouse-git-dirty":
        thread.join()
with trace.get_tracer("t").start_as_current_span("s") as span:
    print("mlflow.source.git.commit" in span.resource.attributes, "mlflow.source.type" in span.resource.attributes)
"""


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(TWO_GIGABYTES)


def packed(git: Path) -> Path:
    (git / "refs/heads/main").unlink()
    (git / "packed-refs").unlink(missing_ok=True)
    return git / "packed-refs"


def replaced(path: Path) -> Path:
    path.unlink(missing_ok=True)
    return path


def claimed_order(git: Path) -> None:
    path = packed(git)
    path.write_bytes(b"# pack-refs with: peeled fully-peeled sorted \n")
    os.truncate(path, TWO_GIGABYTES)


def circle_of_directories(git: Path) -> None:
    (git / "refs/heads/main").unlink()
    (git / "refs/heads/main").mkdir()
    (git / "refs/heads/main/again").symlink_to(git / "refs")
    (git / "HEAD").write_text("ref: refs/heads/main/again/heads/main\n")


def pipe_in_place_of_the_repository(git: Path) -> None:
    git.rename(git.with_name("kept"))
    os.mkfifo(git)


def file_that_leads_to_itself(git: Path) -> None:
    git.rename(git.with_name("kept"))
    git.write_text("gitdir: .git\n")


def link_to_itself(git: Path) -> None:
    git.rename(git.with_name("kept"))
    git.symlink_to(".git")


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "HEAD with rubbish": (lambda git: (git / "HEAD").write_bytes(os.urandom(64) + b"\n"), "HEAD holds neither"),
    "HEAD as a pipe": (lambda git: os.mkfifo(replaced(git / "HEAD")), "HEAD is unreadable: "),
    "HEAD as a link to itself": (lambda git: replaced(git / "HEAD").symlink_to("HEAD"), "HEAD holds neither"),
    "HEAD of two gigabytes": (lambda git: sparse(git / "HEAD"), "HEAD holds neither"),
    "packed-refs of two gigabytes": (lambda git: sparse(packed(git)), "packed-refs is unreadable: it is too large"),
    "packed-refs that claims to be sorted": (
        claimed_order,
        "packed-refs is unreadable: it is too large",
    ),
    "packed-refs as a pipe": (lambda git: os.mkfifo(packed(git)), "packed-refs is unreadable: "),
    "a branch as a pipe": (lambda git: os.mkfifo(replaced(git / "refs/heads/main")), "main is unreadable: "),
    "a circle of directories": (circle_of_directories, "no mlflow.source.git.commit"),
    "a pipe in place of the repository": (pipe_in_place_of_the_repository, "is in no repository"),
    "a file that leads to itself": (file_that_leads_to_itself, "is in no repository"),
    "a link to itself": (link_to_itself, "is in no repository"),
    "commondir that leads to nothing": (lambda git: (git / "commondir").write_text("nothing\n"), "is in no repository"),
}
# What is read besides HEAD costs no commit.
HARMLESS: dict[str, tuple[Callable[[Path], object], str]] = {
    "settings as a pipe": (lambda git: os.mkfifo(replaced(git / "config")), "no settings from "),
    "settings of two gigabytes": (lambda git: sparse(git / "config"), "no mlflow.source.git.repoURL"),
    "index as a pipe": (lambda git: os.mkfifo(replaced(git / "index")), "index is not a regular file"),
    "index of two gigabytes": (lambda git: sparse(git / "index"), "no mlflow.source.git.dirty: the index is too large"),
}


@pytest.fixture
def checkout(checkout: Checkout) -> Checkout:
    checkout.write("app.py", APP)
    checkout.commit()
    return checkout


@pytest.mark.parametrize("fault", [*FAULTS, *HARMLESS])
def test_a_broken_repository_stops_nothing_and_the_reason_is_said_once(checkout: Checkout, fault: str) -> None:
    do, reason = (FAULTS | HARMLESS)[fault]
    do(checkout.root / ".git")
    output = finish(start([sys.executable, "app.py"], cwd=checkout.root))
    lines = output.splitlines()
    assert f"{fault in HARMLESS} True" in lines
    assert [line.partition(" ")[0] for line in lines if reason in line] == ["DEBUG"], output


def capture_seconds(checkout: Checkout) -> float:
    """CPU time of what start-up does on the application's thread, the best of several."""
    entry = EntryPoint("script", "app.py", str(checkout.root / "app.py"), str(checkout.root))
    seconds = []
    for _ in range(20):
        begun = time.thread_time()
        Capture(entry, {})
        seconds.append(time.thread_time() - begun)
    return min(seconds)


@pytest.mark.parametrize("fault", ["HEAD of two gigabytes", "packed-refs of two gigabytes", "packed-refs that claims to be sorted"])
def test_a_huge_file_takes_no_longer_than_a_small_one(checkout: Checkout, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "spanhouse.processor")
    sound = capture_seconds(checkout)
    FAULTS[fault][0](checkout.root / ".git")
    assert capture_seconds(checkout) <= 4 * sound
