"""Application of the demo as a git repository of its own, released twice."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Final

from spanhouse.cli.errors import CommandError, Exit

URL: Final = "https://github.com/example/chat-service.git"
_TUNING: Final = '''"""What differs from release to release."""

DOCUMENTS = {documents}
RERANK = {rerank}
FAILURE_RATE = {failure_rate}
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Version of the application: one commit.

    Attributes:
        version: name in the deployment.
        subject: first line of its commit's message.
        documents: number of documents for the model; more take longer.
        rerank: sorts the documents by a second model.
        failure_rate: share of requests that fail, from 0 to 1.
    """

    version: str
    subject: str
    documents: int
    rerank: bool
    failure_rate: float

    def failing(self, rate: float) -> Release:
        """Return the same release with another failure rate."""
        return replace(self, failure_rate=rate)


class Repository:
    """Checkout of the application on branch ``main``.

    Args:
        directory: place to make; must not exist.
        environment: variables of the git processes; nothing of the user's git configuration is read.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self.directory = directory
        self._environment = {
            **environment,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{role}_{field}": value for role in ("AUTHOR", "COMMITTER") for field, value in _PERSON.items()},
        }
        directory.mkdir()
        for template in (resources.files("spanhouse.cli.demo") / "app_files").iterdir():
            (directory / template.name.removesuffix(".txt")).write_bytes(template.read_bytes())
        self._git("init", "--quiet")
        self._git("symbolic-ref", "HEAD", "refs/heads/main")
        self._git("remote", "add", "origin", URL)

    def commit(self, release: Release) -> str:
        """Commit a release, which is checked out then; return the commit's SHA."""
        tuning = _TUNING.format(documents=release.documents, rerank=release.rerank, failure_rate=release.failure_rate)
        (self.directory / "tuning.py").write_text(tuning, encoding="utf-8")
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", release.subject)
        return self._git("rev-parse", "HEAD")

    def _git(self, *words: str) -> str:
        try:
            done = subprocess.run(  # noqa: S603 (words of ours alone)
                ["git", *words],  # noqa: S607 (whichever git the user has)
                cwd=self.directory,
                env=self._environment,
                capture_output=True,
                text=True,
                check=True,
            )
        except FileNotFoundError:
            raise CommandError("the demo needs the git executable: install git") from None
        except subprocess.CalledProcessError as error:
            raise CommandError(f"the demo's git {words[0]} failed: {error.stderr}", Exit.STORE) from None
        return done.stdout.strip()


_PERSON: Final = {"NAME": "Demo", "EMAIL": "demo@example.com", "DATE": "2026-01-01T12:00:00+00:00"}
"""Author and date of every run, so that commits have the same SHA every time."""
