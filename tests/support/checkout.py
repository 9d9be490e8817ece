"""Real git repositories, made with the git executable and none of the machine's settings."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

GIT_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}


class Checkout:
    """A repository on branch ``main`` at ``root``."""

    def __init__(self, root: Path, *init: str) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main", *init)

    def git(self, *arguments: str, check: bool = True) -> str:
        """What a git command prints, without the last newline."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | GIT_ENVIRONMENT
        command = ["git", "-c", "protocol.file.allow=always", *arguments]
        done = subprocess.run(command, cwd=self.root, env=environ, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def write(self, path: str, content: str | bytes = "content\n") -> Path:
        """A file of the work tree."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def commit(self, *paths: str) -> str:
        """Commit ``paths``, written first where they do not exist, or else everything; the commit's id."""
        for path in paths:
            if not (self.root / path).exists():
                self.write(path)
        self.git("add", "--all", *(["--", *paths] if paths else []))
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")
        return self.git("rev-parse", "HEAD")

    @property
    def is_dirty(self) -> bool:
        """What git says: whether tracked files differ from HEAD."""
        self.git("update-index", "-q", "--really-refresh", check=False)
        return bool(self.git("diff-index", "--name-only", "--ignore-submodules=dirty", "HEAD", "--"))
