"""Tables, JSON and CSV, on a terminal and elsewhere."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys

import pytest

from spanhouse.cli.output import Column, show_rows, show_table

LONG = "x" * 500
PRINT = f"""
from spanhouse.cli.output import Column, safe, show_table
show_table((Column(title='id', whole=True), Column(title='text')), [('i' * 32, safe('{LONG}', 'red'))])
"""


def on_a_terminal(code: str, columns: int) -> str:
    """What a process prints on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns)}
    env.pop("NO_COLOR", None)
    with subprocess.Popen([sys.executable, "-c", code], stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=env):
        os.close(theirs)
        printed = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # how Linux says that the other side is closed
                break
            if not part:
                break
            printed += part
    os.close(ours)
    return printed.decode()


def test_a_value_of_megabytes_is_cut_in_a_table_and_nowhere_else(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("x" * 5_000_000, 1)]
    show_rows("table", ["name", "n"], rows)
    assert len(capsys.readouterr().out) < 10_000
    show_rows("csv", ["name", "n"], rows)
    assert len(capsys.readouterr().out) > 5_000_000


def test_what_is_no_terminal_gets_no_colours_and_no_narrow_columns() -> None:
    env = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": "40"}
    printed = subprocess.run([sys.executable, "-c", PRINT], capture_output=True, text=True, env=env).stdout
    assert "\x1b" not in printed
    assert LONG in printed


def test_a_terminal_gets_colours_and_lines_of_its_width_with_ids_in_full() -> None:
    printed = on_a_terminal(PRINT, 60)
    assert "\x1b[31m" in printed
    assert "i" * 32 in printed
    assert LONG not in printed
    assert "…" in printed
    assert len(printed.splitlines()) == 2


def test_a_terminal_that_is_too_narrow_does_without_spare_columns_and_says_so() -> None:
    code = """
from spanhouse.cli.output import Column, show_table
columns = [Column(title=title, whole=title == 'id', spare='xyz'.find(title) + 1) for title in ('id', 'x', 'y', 'z')]
show_table(columns, [('i' * 32, 'x' * 12, 'y' * 12, 'z' * 12)])
"""
    wide, narrow, narrowest = (on_a_terminal(code, columns) for columns in (100, 56, 20))
    assert "z" * 12 in wide
    assert "no room" not in wide
    assert ("i" * 32 in narrow, "x" * 9 + "…" in narrow, "y" * 9 + "…" in narrow) == (True, True, True)
    assert "no room for: z" in narrow
    assert "i" * 32 in narrowest
    assert "no room for: x, y, z" in narrowest


def test_control_characters_of_data_reach_no_output(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("table", "json"):
        show_rows(form, ["a\x1b[1m"], [["\x1b[2J\x9b"]])
    show_table((Column(title="a"),), [["\x1b[2J\x9b"]])
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\x9b" not in printed


def test_csv_on_a_terminal_has_no_control_characters_of_data() -> None:
    printed = on_a_terminal("from spanhouse.cli.output import print_csv; print_csv(['a'], [['\\x1b[2J']])", 60)
    assert "\x1b" not in printed


def test_csv_elsewhere_keeps_the_data_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[list[object]] = [['a,b\n"c"', None, {"k": [1]}, 1.5], ["\x1b[2J", True, [], -1]]
    show_rows("csv", ["text", "nothing", "map", "number"], rows)
    read = list(csv.reader(io.StringIO(capsys.readouterr().out, newline="")))
    assert read == [["text", "nothing", "map", "number"], ['a,b\n"c"', "", '{"k": [1]}', "1.5"], ["\x1b[2J", "True", "[]", "-1"]]


def test_json_is_one_array_of_objects(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows("json", ["a", "b"], [[1, None], ["é\x9b", {"k": (1, 2)}]])
    assert json.loads(capsys.readouterr().out) == [{"a": 1, "b": None}, {"a": "é\x9b", "b": {"k": [1, 2]}}]
    show_rows("json", ["a"], [])
    assert json.loads(capsys.readouterr().out) == []


def test_an_output_that_has_only_ascii_gets_escapes_instead_of_an_error() -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-m", "spanhouse.cli", "explain", "name = 'é'"], capture_output=True, env=env)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b'p0 = "\\xe9"' in done.stdout
