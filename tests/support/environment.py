"""Virtual environments for programs that the tests run and the project does not need: made once, kept for the next run."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import version
from pathlib import Path

_KEPT = Path(sys.prefix) / "envs"
# The SDK is the one that the tests themselves run with.
_SHARED = tuple(f"{name}=={version(name)}" for name in ("opentelemetry-api", "opentelemetry-sdk"))


def interpreter(name: str, *requirements: str) -> str:
    """The Python of an environment that has ``requirements`` on top of everything that this one has.

    It is called after ``name`` and a hash of what is in it, so that other requirements make another environment. Test processes that
    want the same one at once wait for each other.
    """
    wanted = "\n".join((*sorted(requirements), *_SHARED, sys.version, sys.prefix))
    root = _KEPT / f"{name}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    python, ready = root / "bin" / "python", root / ".ready"
    _KEPT.mkdir(exist_ok=True)
    with root.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            venv.create(root, clear=True, with_pip=True, symlinks=True)
            install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements, *_SHARED]
            done = subprocess.run(install, capture_output=True, text=True, timeout=600, check=False)
            assert done.returncode == 0, f"cannot make the environment {name}: {done.stderr}"
            # After what it has of its own, it sees what this one has, editable installations included.
            (site,) = root.glob("lib/python*/site-packages")
            (site / "tests.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
            ready.touch()
    return str(python)
