"""`spanhouse demo`: what it prints is what its application did, and it leaves nothing behind."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

DEMO = [sys.executable, "-m", "spanhouse.cli", "demo"]


def environment(directory: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(directory), **more}


def demo(directory: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DEMO, *words], capture_output=True, text=True, env=environment(directory, **env), timeout=170)


def printed(directory: Path, *words: str, **env: str) -> str:
    done = demo(directory, *words, **env)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def versions(text: str) -> dict[str, tuple[int, int, str]]:
    """Version -> traces, errors, error rate of the table that compares them."""
    rows = re.findall(r"^  (\d\.\d\.\d) +\w{7} +main +main:app +(\d+) +(\d+) +([\d.]+ %)", text, re.MULTILINE)
    return {version: (int(traces), int(errors), rate) for version, traces, errors, rate in rows}


def processes_of(directory: Path) -> list[str]:
    """Command lines of living processes that name the directory, or were started in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            said = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace") + str((process / "cwd").readlink())
            found += [said] if str(directory) in said else []
    return found


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The directory of a demo that left its store there, all of whose requests to the model failed, and what it printed."""
    directory = tmp_path_factory.mktemp("demo")
    return directory, printed(directory, "--requests", "60", "--failure-rate", "1", "--keep")


def test_the_printed_error_rate_follows_the_failure_rate_of_the_application(tmp_path: Path, kept: tuple[Path, str]) -> None:
    half, all_of_them = versions(printed(tmp_path, "--requests", "60", "--failure-rate", "0.5")), versions(kept[1])
    assert half["1.0.0"] == all_of_them["1.0.0"], "the first release is the same in both"
    assert all_of_them["1.1.0"] == (60, 40, "66.7 %"), "every request to the model fails, and none for the topics"
    traces, errors, rate = half["1.1.0"]
    assert traces == 60
    assert 8 <= errors <= 32
    assert rate == f"{errors / 60:.1%}".replace("%", " %")


def test_the_demo_shows_a_search_a_trace_and_the_versions_and_leaves_nothing_behind(tmp_path: Path) -> None:
    # Variables of the surroundings, a git hook's and a proxy among them, change nothing of what is shown.
    foreign = {
        "OTEL_RESOURCE_ATTRIBUTES": "service.version=9",
        "GIT_DIR": "/nowhere",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "SPANHOUSE_GIT_COMMIT": "f" * 40,
    }
    text = printed(tmp_path, "--requests", "80", **foreign)
    found = versions(text)
    assert set(found) == {"1.0.0", "1.1.0"}
    assert [traces for traces, _, _ in found.values()] == [80, 80]
    assert found["1.0.0"][1] < found["1.1.0"][1], "the second release fails more often"
    assert " is worse\n" in text.partition("Is the second commit worse")[2]
    assert "see (latency p50 of POST /chat): spanhouse search \"name = 'POST /chat' AND metadata.mlflow.source.git.commit = " in text
    assert "ERROR" in text.partition("Which requests failed")[2]
    for span in ("POST /chat", "├─ retrieve", "├─ rerank mini-model", "└─ chat big-model"):
        assert span in text
    for metadata in ("mlflow.source.git.repoURL  https://github.com/example/chat-service.git", "mlflow.source.type         production", "user-"):
        assert metadata in text
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []


def test_a_store_that_is_kept_answers_the_commands_that_are_printed(kept: tuple[Path, str]) -> None:
    directory, text = kept
    assert f"The store is kept in {directory}" in text
    commands = [shlex.split(line) for line in text.partition("What next?")[2].splitlines() if "--store" in line]
    assert [command[:2] for command in commands] == [["spanhouse", verb] for verb in ("search", "search", "values", "keys")]
    for command in commands:
        done = subprocess.run([sys.executable, "-m", "spanhouse.cli", *command[1:]], capture_output=True, text=True, env=environment(directory))
        assert (done.returncode, done.stderr) == (0, "")
    assert processes_of(directory) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_demo_that_is_interrupted_ends_quietly_and_leaves_nothing_behind(number: signal.Signals, code: int, tmp_path: Path) -> None:
    with subprocess.Popen(
        [*DEMO, "--requests", "20"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(tmp_path, PYTHONUNBUFFERED="1")
    ) as process:
        assert process.stdout is not None
        while "released 1.0.0" not in process.stdout.readline():
            assert process.poll() is None
        assert processes_of(tmp_path)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (code, "")
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []


def test_a_demo_without_git_says_so_in_one_line_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = demo(tmp_path, PATH=str(tmp_path / "empty"))
    assert (done.returncode, done.stderr) == (2, "spanhouse: the demo needs the git executable: install git\n")
    assert list(tmp_path.iterdir()) == []


def test_a_demo_whose_application_can_t_start_says_why_in_one_line_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "pydantic.py").write_text("raise RuntimeError('broken install')", encoding="utf-8")
    (tmp_path / "t").mkdir()
    done = demo(tmp_path / "t", PYTHONPATH=str(tmp_path / "broken"))
    assert (done.returncode, done.stderr) == (3, "spanhouse: the application ended with code 1: RuntimeError: broken install\n")
    assert list((tmp_path / "t").iterdir()) == []
    assert processes_of(tmp_path) == []
