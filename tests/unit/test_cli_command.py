"""The command line itself: help, errors of one line, exit codes, installs without extras."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spanhouse.cli import main
from spanhouse.cli.verb_table import GROUPS, VERBS
from spanhouse.cli.verb_table.verb import Group, Verb

NAMES = [*(verb.name for verb in VERBS if not verb.group), *(group.name for group in GROUPS)]

BLOCKER = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""
CORE_ONLY = {
    "rich",
    "clickhouse_connect",
    "grpc",
    "google",
    "chdb",
    "uvicorn",
    "uvloop",
    "httptools",
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
    "statsmodels",
    "lz4",
    "fastapi",
    "httpx",
}


def spanhouse(*words: str, data_dir: Path, absent: set[str] | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process; ``absent`` packages can't be imported there."""
    variables = {**os.environ, "SPANHOUSE_DATA_DIR": str(data_dir), **env}
    if absent:
        (data_dir / "sitecustomize.py").write_text(BLOCKER.format(names=absent), encoding="utf-8")
        variables["PYTHONPATH"] = str(data_dir)
    return subprocess.run([sys.executable, "-m", "spanhouse.cli", *words], capture_output=True, text=True, env=variables, timeout=120)


def one_line_of(text: str) -> str:
    lines = text.splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith("spanhouse: ")
    return lines[0]


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb.name != "metadata"], ids=lambda verb: verb.name)
def test_every_verb_has_help_that_names_all_its_options(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*verb.name.split(), "--help"]) == 0
    printed = capsys.readouterr().out
    assert verb.examples, "a verb shows how it is used"
    assert all(example in printed for example in verb.examples)
    assert all(f"--{option.name}" in printed and option.help for option in verb.options)


def test_the_help_of_every_option_stands_alone_and_says_the_default() -> None:
    for verb in VERBS:
        for option in verb.options:
            assert option.described_default, f"{verb.name} --{option.name}"
            assert not re.search(r"\b(likewise|of that|with it|its|what)\b|^(or|and)\b", option.help), f"{verb.name} --{option.name}: {option.help}"
            assert option.kind is bool or option.placeholder, f"{verb.name} --{option.name}"


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_a_group_alone_asks_for_an_action_and_its_help_lists_all(group: Group, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([group.name]) == 2
    assert one_line_of(capsys.readouterr().err).endswith(f"required: ACTION (see `spanhouse {group.name} --help`)")
    assert main([group.name, "--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"    {verb.action}" in printed for verb in VERBS if verb.group == group.name)


def test_the_command_alone_lists_all_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert all(f"    {name}" in printed for name in NAMES)


def test_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"spanhouse {version('spanhouse')}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["serch"], "'serch' is no verb; the nearest one is `spanhouse search`, `spanhouse --help` lists all"),
        (["replay"], "'replay' is no verb; the nearest one is `spanhouse store replay`, `spanhouse --help` lists all"),
        (["prices", "lst"], "prices: 'lst' is none of apply, import, list, set; the nearest one is list"),
        (["migrate", "--verify"], "migrate: unknown option '--verify'; the nearest one is --cluster (see `spanhouse migrate --help`)"),
        (["compare", "1", "2", "--allow", "p96=10%"], "--allow 'p96=10%': unknown name 'p96'; the nearest known one is 'p95'"),
        (["compare", "1", "2", "--allow", "p95"], "--allow 'p95': write NAME=LIMIT with a number of percent, such as p95=10%"),
        (["trace"], "the following arguments are required: TRACE-ID (see `spanhouse trace --help`)"),
        (["search", "--limt", "3"], "search: unknown option '--limt'; the nearest one is --limit (see `spanhouse search --help`)"),
        (["search", "--limit"], "argument --limit: expected one argument (see `spanhouse search --help`)"),
        (["search", "--limit", "many"], "--limit: 'many' is not a whole number"),
        (["search", "--limit", "0"], "--limit 0: from 1 to 50000"),
        (["search", "a", "b"], "search: 'b' is one word too many (see `spanhouse search --help`)"),
        (["search", "--store", "chdb://memory"], "store 'chdb://memory': an embedded store is chdb:///absolute/directory[?database=NAME]"),
        (["serve", "--grpc", "4317"], "--grpc: '4317' is not HOST:PORT (or off)"),
        (["serve", "--console", "8080"], "--console: '8080' is not HOST:PORT (or off)"),
        (
            ["serve", "--http", "0.0.0.0:4318"],
            "--http 0.0.0.0:4318: listening beyond this machine needs --token-file or --tls-client-ca; without it use 127.0.0.1:4318",
        ),
        (["demo", "--failure-rate", "2"], "--failure-rate 2.0: from 0 to 1"),
        (["demo", "--requests", "0"], "--requests 0: at least 1"),
    ],
)
def test_a_user_s_mistake_is_one_line_and_exit_code_2(words: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert one_line_of(capfd.readouterr().err) == f"spanhouse: {said}"


def test_the_error_of_one_word_with_control_characters_can_t_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "--store", "\x1b[2Jx"]) == 2
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize(("verb", "extra"), [("serve", "server"), ("demo", "demo"), *((name, "query") for name in ("search", "keys", "migrate"))])
def test_a_verb_without_its_extra_says_which_to_install(verb: str, extra: str, tmp_path: Path) -> None:
    done = spanhouse(verb, data_dir=tmp_path, absent=CORE_ONLY)
    assert done.returncode == 2
    assert one_line_of(done.stderr).endswith(f"pip install 'spanhouse[{extra}]'")


def test_a_comparison_without_the_library_of_statistics_says_which_extra_to_install(tmp_path: Path) -> None:
    done = spanhouse("compare", "1", "2", data_dir=tmp_path, absent={"statsmodels"})
    assert done.returncode == 2
    assert one_line_of(done.stderr) == "spanhouse: compare needs the module statsmodels: pip install 'spanhouse[compare]'"


def test_the_demo_with_all_but_its_own_extra_says_which_to_install(tmp_path: Path) -> None:
    done = spanhouse("demo", data_dir=tmp_path, absent={"fastapi"})
    assert done.returncode == 2
    assert one_line_of(done.stderr) == "spanhouse: demo needs the module fastapi: pip install 'spanhouse[demo]'"


def test_an_embedded_store_without_the_engine_says_which_extra_to_install(tmp_path: Path) -> None:
    done = spanhouse("migrate", data_dir=tmp_path, absent={"chdb"})
    assert done.returncode == 2
    assert one_line_of(done.stderr) == "spanhouse: migrate needs the module chdb: pip install 'spanhouse[server]'"


def test_help_version_and_doctor_work_in_a_core_only_install(tmp_path: Path) -> None:
    for words in (["--help"], ["--version"], ["search", "--help"]):
        assert spanhouse(*words, data_dir=tmp_path, absent=CORE_ONLY).returncode == 0
    done = spanhouse("doctor", data_dir=tmp_path, absent=CORE_ONLY)
    assert (done.returncode, done.stderr) == (0, "")
    assert "pip install 'spanhouse[query]'" in done.stdout


def test_the_command_loads_nothing_beyond_the_standard_library_before_it_knows_the_verb() -> None:
    code = (
        "import sys; before = set(sys.modules); from spanhouse.cli import main; main(['--version'])\n"
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(loaded - set(sys.stdlib_module_names) - {'spanhouse'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout


def test_a_reader_that_goes_away_ends_the_command_quietly() -> None:
    process = subprocess.Popen([sys.executable, "-m", "spanhouse.cli", "explain"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (141, "")


def test_a_store_that_does_not_answer_is_one_line_and_exit_code_3(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "--store", "http://127.0.0.1:1/spans"]) == 3
    line = one_line_of(capfd.readouterr().err)
    assert line == "spanhouse: store http://127.0.0.1:1/spans: can't be reached (connection refused); check the address, and that the server runs"


def test_an_https_store_is_never_spoken_to_in_the_clear(capfd: pytest.CaptureFixture[str]) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        port = listener.getsockname()[1]
        with subprocess.Popen(
            [sys.executable, "-m", "spanhouse.cli", "migrate", "--store", f"https://user:secret@127.0.0.1:{port}/spans"],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        ) as process:
            connection, _ = listener.accept()
            with connection:
                first = connection.recv(1)
            process.send_signal(signal.SIGKILL)
    assert first == b"\x16", "a TLS handshake"
