"""``python -m spanhouse.processor``: what it prints, the stamp file that it writes, and what it makes of mistakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.checkout import Checkout


@pytest.fixture
def checkout(checkout: Checkout) -> Checkout:
    checkout.git("remote", "add", "origin", "https://x-access-token:s3cr3t@github.com/acme/shop.git")
    return checkout


def metadata(checkout: Checkout, *arguments: str, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "USER": "ada"} | variables
    command = [sys.executable, "-m", "spanhouse.processor", *arguments]
    done = subprocess.run(command, cwd=checkout.root, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    return done


def test_the_report_names_the_source_that_won_and_those_that_lost(checkout: Checkout) -> None:
    commit = checkout.commit("src/app.py")
    found = json.loads(metadata(checkout, "--json", "src/app.py", SPANHOUSE_GIT_BRANCH="mine").stdout)
    assert found["mlflow.source.name"]["value"] == "src/app.py"
    assert found["mlflow.source.git.branch"] == {
        "value": "mine",
        "source": "SPANHOUSE_GIT_BRANCH",
        "lost": [{"value": "main", "source": f"repository {checkout.root.resolve()}"}],
    }
    table = metadata(checkout, "src/app.py", SPANHOUSE_GIT_BRANCH="mine").stdout
    (line,) = (line.split() for line in table.splitlines() if "git.commit" in line)
    assert line == ["mlflow.source.git.commit", commit, "repository", str(checkout.root.resolve())]
    assert "lost: main" in table


def test_the_report_takes_modules_and_servers_with_their_own_options(checkout: Checkout) -> None:
    checkout.commit("shop/__init__.py", "shop/web.py")
    assert json.loads(metadata(checkout, "--json", "-m", "shop.web", "-m", "x", "--json").stdout)["mlflow.source.name"]["value"] == "shop.web"
    report = metadata(checkout, "--json", "-m", "uvicorn", "--port", "80", "shop.web:app").stdout
    assert json.loads(report)["mlflow.source.name"]["value"] == "shop.web:app"
    assert "mlflow.source.name" not in json.loads(metadata(checkout, "--json").stdout)


def test_a_stamp_file_stands_in_where_there_is_no_repository(checkout: Checkout, tmp_path: Path) -> None:
    commit = checkout.commit("src/app.py", "src/other.py")
    image = Checkout(tmp_path / "image")
    (image.root / ".git").rename(tmp_path / "no-git")
    image.write("srv/app.py", "")
    image.write("srv/other.py", "")
    metadata(checkout, "--write", str(image.root), "src/app.py", SPANHOUSE_SOURCE_TYPE="build")
    stamp = json.loads((image.root / "spanhouse-stamp.json").read_text())
    assert stamp == {
        "mlflow.source.name": "src/app.py",
        "mlflow.source.git.commit": commit,
        "mlflow.source.git.branch": "main",
        "mlflow.source.git.repoURL": "https://github.com/acme/shop.git",
        "mlflow.source.git.dirty": "false",
    }
    found = json.loads(metadata(image, "--json", "srv/app.py").stdout)
    assert {key: found[key]["value"] for key in stamp} == stamp
    assert found["mlflow.source.type"]["value"] == "LOCAL"
    other = json.loads(metadata(image, "--json", "srv/other.py").stdout)
    assert (other["mlflow.source.name"]["value"], other["mlflow.source.git.commit"]["value"]) == ("other.py", commit)
    ci = json.loads(metadata(image, "--json", "srv/app.py", GITHUB_ACTIONS="1", GITHUB_SHA="f" * 40).stdout)
    assert ci["mlflow.source.git.commit"]["value"] == "f" * 40
    assert "mlflow.source.git.dirty" not in ci


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.py"], "script none.py does not exist"),
        (["-m", "no.such.module"], "module no.such.module is not found"),
        (["-m", "uvicorn", "no.such:app"], "the app of uvicorn no.such:app is not found"),
        (["--frobnicate"], "unrecognized arguments: --frobnicate"),
        (["--write", "/nowhere/at/all"], "cannot write /nowhere/at/all"),
        (["-m"], "expected one argument"),
    ],
)
def test_a_mistake_gets_one_line_that_says_what_to_do_and_exit_code_2(checkout: Checkout, arguments: list[str], words: str) -> None:
    done = metadata(checkout, *arguments, code=2)
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
