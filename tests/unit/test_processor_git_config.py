"""Git's configuration syntax."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanhouse.processor.git.config import GitConfig


def read(directory: Path, text: str) -> GitConfig:
    file = directory / "config"
    file.write_text(text, encoding="utf-8", newline="")
    config = GitConfig()
    config.read(str(file))
    return config


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[core]\n\tkey = plain\n", "plain"),
        ("[CORE]\nKEY=plain", "plain"),
        ("[core] key = on the header's line\n", "on the header's line"),
        ('[core]\nkey = "  kept  " # comment\n', "  kept  "),
        ("[core]\nkey = cut   ; comment\n", "cut"),
        ('[core]\nkey = a" # "b\n', "a # b"),
        ("[core]\nkey = one \\\n  two\n", "one   two"),
        ('[core]\nkey = q\\"b\\\\t\\t.\n', 'q"b\\t\t.'),
        ("[core]\r\nkey = windows\r\n", "windows"),
        ("\ufeff[core]\nkey = marked\n", "marked"),
        ("[core]\nkey = first\nkey = last\n", "last"),
        ("[core]\nkey\n", "true"),
        ("# [core]\n; x\n[core]\nkey = v", "v"),
        ("[core]\nkey =\n", ""),
        ("[core]\nkey = known\n[broken\nkey = unknown\n", "known"),
        ('[core]\nkey = known\nother = "open\n', "known"),
        ("[core]\nkey = known\nother = \\x\n", "known"),
        ("[other]\nkey = v\n", None),
        ("key = no section\n", None),
        ("[core]\n1key = v\n", None),
    ],
)
def test_a_setting_is_read_as_git_reads_it(tmp_path: Path, text: str, value: str | None) -> None:
    assert read(tmp_path, text).get("core", "key") == value


def test_remotes_come_in_the_order_of_the_file_with_their_first_url(tmp_path: Path) -> None:
    text = '[remote "Zed"]\nurl = z1\nurl = z2\n[remote "a\\"b"]\n\turl = q\n[remote "none"]\n[branch "main"]\nurl = no\n'
    assert read(tmp_path, text).remotes() == [("Zed", "z1"), ('a"b', "q")]


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("yes", True), ("1", True), ("off", False), ("0", False), ("No", False)])
def test_flags_take_the_spellings_of_git(tmp_path: Path, value: str, expected: bool) -> None:
    assert read(tmp_path, f"[core]\nfilemode = {value}\n").flag("core", "filemode", default=not expected) is expected


def test_a_missing_file_has_no_settings(tmp_path: Path) -> None:
    config = GitConfig()
    config.read(str(tmp_path / "none"))
    assert config.get("core", "key") is None
    assert config.remotes() == []
    assert config.flag("core", "key", default=True)
