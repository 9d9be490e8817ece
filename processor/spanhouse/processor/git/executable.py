"""HEAD from the git executable, for references in a format that this package does not read (reftable)."""

from __future__ import annotations

from collections.abc import Mapping

from spanhouse.processor.git.repository import Head, Repository

_TIMEOUT_SECONDS = 1.0
# Programs that the repository configures are off, so a foreign owner of the repository does not matter.
_OPTIONS = ("--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "safe.directory=*")


def ask_head(repository: Repository, environ: Mapping[str, str]) -> Head:
    """Return commit and branch of HEAD; both None without a git executable that answers within a second."""
    branch = _run(repository, environ, "symbolic-ref", "--quiet", "HEAD")
    commit = _run(repository, environ, "rev-parse", "--quiet", "--verify", "HEAD")
    return commit, (branch.removeprefix("refs/heads/") if branch and branch.startswith("refs/heads/") else None)


def _run(repository: Repository, environ: Mapping[str, str], *command: str) -> str | None:
    import shutil  # start-up: few repositories use reftable
    import subprocess

    git = shutil.which("git", path=environ.get("PATH"))
    if git is None:
        return None
    quiet = {name: value for name, value in environ.items() if not name.startswith("GIT_")}
    quiet |= {"GIT_DIR": repository.git_dir, "GIT_WORK_TREE": repository.root, "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
    try:
        done = subprocess.run(  # noqa: S603  fixed arguments, and no shell
            [git, *_OPTIONS, *command],
            env=quiet,
            cwd=repository.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return (done.stdout.decode("utf-8", "surrogateescape").strip() or None) if done.returncode == 0 else None
