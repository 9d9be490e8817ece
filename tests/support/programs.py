"""Programs with tracing, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def start(command: Sequence[str], *, cwd: Path, environ: Mapping[str, str] | None = None, pass_fds: Sequence[int] = ()) -> subprocess.Popen[str]:
    """Start a program as a user would, without the variables of this machine."""
    variables = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "PYTHONPYCACHEPREFIX"}}
    variables |= {"PYTHONDONTWRITEBYTECODE": "1", "USER": "ada", **(environ or {})}
    return subprocess.Popen(command, cwd=cwd, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=pass_fds)


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for the end of a program that must go well, and return its output."""
    try:
        output, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors, errors
    return output
