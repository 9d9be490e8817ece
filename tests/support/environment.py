"""Virtual environments for programs that the tests run and the project does not need: made once, kept for the next run."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

_KEPT = Path(sys.prefix) / "envs"
# The SDK is the one that the tests themselves run with.
_SHARED = tuple(f"{name}=={version(name)}" for name in ("opentelemetry-api", "opentelemetry-sdk"))


class InstallError(AssertionError):
    """A requirement that pip could not install."""


def interpreter(name: str, *requirements: str, alone: Sequence[str] = ()) -> str:
    """Return the Python of an environment that has ``requirements`` on top of everything that this one has.

    It is called after ``name`` and a hash of what is in it, so that other requirements make another environment. Test processes that
    want the same one at once wait for each other.

    Args:
        name: begin of the environment's name.
        requirements: what pip installs, with its dependencies.
        alone: what pip installs without its dependencies.

    Raises:
        InstallError: pip fails, or takes ten minutes.
    """
    wanted = "\n".join((*sorted(requirements), *sorted(alone), *_SHARED, sys.version, sys.prefix))
    root = _KEPT / f"{name}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    python, ready = root / "bin" / "python", root / ".ready"
    _KEPT.mkdir(exist_ok=True)
    with root.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            venv.create(root, clear=True, with_pip=True, symlinks=True)
            _install(name, python, *requirements, *_SHARED)
            if alone:
                _install(name, python, "--no-deps", *alone)
            # After what it has of its own, it sees what this one has, editable installations included.
            (site,) = root.glob("lib/python*/site-packages")
            (site / "tests.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
            ready.touch()
    return str(python)


def _install(name: str, python: Path, *arguments: str) -> None:
    """Install by pip."""
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    except subprocess.TimeoutExpired:
        raise InstallError(f"cannot make the environment {name}: pip took ten minutes") from None
    if done.returncode != 0:
        raise InstallError(f"cannot make the environment {name}: {done.stderr}")
