"""Names in any script on machines whose locale knows ASCII alone, as slim images and cron have it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from tests.support.checkout import Checkout
from tests.support.programs import finish, start
from tests.support.sink import Sink

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
NAMED = {"SPANHOUSE_SOURCE_TYPE": "prüfung", "OTEL_SERVICE_NAME": "lädchen", "OTEL_RESOURCE_ATTRIBUTES": "region=süd"}
COMMIT, BRANCH, NAME, TYPE = "mlflow.source.git.commit", "mlflow.source.git.branch", "mlflow.source.name", "mlflow.source.type"
DIRTY, URL = "mlflow.source.git.dirty", "mlflow.source.git.repoURL"
APP = """
from opentelemetry import trace
from spanhouse.processor import configure
configure()
with trace.get_tracer("t").start_as_current_span("span"):
    pass
"""


@pytest.fixture(params=["fix/größe-見出し", "тест"])
def checkout(request: pytest.FixtureRequest, tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path / "Läden")
    made.git("checkout", "--quiet", "-b", request.param)
    made.git("remote", "add", "origin", "https://example.com/läden/shop.git")
    made.write("src/größe.py", APP)
    made.commit()
    return made


def sent(cwd: Path, sink: Sink, **variables: str) -> dict[str, str]:
    sink.requests.clear()
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink.http_port}", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", **variables}
    finish(start([sys.executable, "src/größe.py"], cwd=cwd, environ=environ))
    return sink.resource()


@pytest.mark.parametrize("packed", [False, True])
def test_names_arrive_whole_from_an_ascii_locale(checkout: Checkout, sink: Sink, packed: bool) -> None:
    if packed:
        checkout.git("pack-refs", "--all")
    plain, ascii_only = sent(checkout.root, sink), sent(checkout.root, sink, **ASCII, **NAMED)
    keys = (COMMIT, BRANCH, "vcs.ref.head.name", URL, DIRTY, NAME)
    assert {key: ascii_only[key] for key in keys} == {key: plain[key] for key in keys}
    assert ascii_only[BRANCH] == checkout.git("symbolic-ref", "--short", "HEAD")
    assert (ascii_only[NAME], ascii_only[DIRTY], ascii_only[TYPE]) == ("src/größe.py", "false", "prüfung")
    assert (ascii_only["service.name"], ascii_only["region"]) == ("lädchen", "süd")


def test_a_worktree_and_its_settings_are_found_from_an_ascii_locale(checkout: Checkout, sink: Sink, tmp_path: Path) -> None:
    worktree = tmp_path / "Bäume"
    checkout.git("worktree", "add", "--quiet", "-b", "ast/ü", str(worktree))
    assert sent(worktree, sink, **ASCII)[BRANCH] == "ast/ü"
    checkout.git("worktree", "remove", "--force", str(worktree))
    moved = tmp_path / "Archiv-ä"
    (checkout.root / ".git").rename(moved)
    (checkout.root / ".git").write_text(f"gitdir: {moved}\n")
    checkout.git("config", "core.worktree", str(checkout.root))
    assert sent(checkout.root, sink, **ASCII)[COMMIT] == checkout.git("rev-parse", "HEAD")


def test_a_branch_that_is_not_utf8_costs_no_span(checkout: Checkout, sink: Sink) -> None:
    head = checkout.root / ".git" / "HEAD"
    commit = checkout.git("rev-parse", "HEAD")
    name = b"refs/heads/fix-\xff\xfe"
    Path(os.fsdecode(os.fsencode(checkout.root / ".git") + b"/" + name)).write_text(commit)
    head.write_bytes(b"ref: " + name + b"\n")
    for variables in ({}, ASCII):
        resource = sent(checkout.root, sink, **variables)
        assert (resource[BRANCH], resource[COMMIT]) == ("fix-??", commit)


def test_the_report_is_printed_in_utf8_whatever_the_locale(checkout: Checkout) -> None:
    for option in ("--json", None):
        command = [sys.executable, "-m", "spanhouse.processor", *([option] if option else []), "src/größe.py"]
        printed = finish(start(command, cwd=checkout.root, environ=ASCII))
        assert checkout.git("symbolic-ref", "--short", "HEAD") in printed
        assert "Läden" in printed
        if option:
            assert json.loads(printed)[NAME]["value"] == "src/größe.py"
