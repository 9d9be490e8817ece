"""Shells complete the command's words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spanhouse.cli import main


def completed(line: str, directory: Path) -> list[str]:
    """What the command answers a shell that asks as argcomplete's code does."""
    answer = directory / "answer"
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer), "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_SHELL": "bash"}
    env = {**os.environ, **asked, "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_SUPPRESS_SPACE": "1"}
    subprocess.run([sys.executable, "-m", "spanhouse.cli"], env=env, check=True, timeout=60)
    return answer.read_text().splitlines()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("spanhouse se", ["serve", "search"]),
        ("spanhouse search --form", ["--format"]),
        ("spanhouse search --format ", ["table", "json", "csv", "markdown"]),
        ("spanhouse completion z", ["zsh"]),
        ("spanhouse store c", ["check", "compact"]),
        ("spanhouse store push --clu", ["--cluster"]),
        ("spanhouse serve --ack ", ["spool", "store"]),
        ("spanhouse search --store ", []),
    ],
)
def test_verbs_options_and_what_they_take_are_completed(line: str, words: list[str], tmp_path: Path) -> None:
    assert completed(line, tmp_path) == words


def test_a_file_is_completed_where_one_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "tokens").touch()
    assert completed(f"spanhouse serve --token-file {tmp_path}/tok", tmp_path) == [f"{tmp_path}/tokens"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_code_of_each_shell_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert {"bash": "complete ", "zsh": "#compdef spanhouse", "fish": "function __fish_spanhouse_complete"}[shell] in capsys.readouterr().out


def test_a_shell_that_is_not_known_is_the_users_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert capsys.readouterr().err == "spanhouse: completion: 'tcsh' is none of bash, zsh, fish\n"
