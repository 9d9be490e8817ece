"""Token files for tests."""

from __future__ import annotations

import hashlib
from pathlib import Path


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def token_file(path: Path, *tokens: str) -> Path:
    """Write a file with a line for each token; ``token:rights`` for other rights than usual."""
    lines = [f"t{number}:{digest(token.partition(':')[0])}" + "".join(token.partition(":")[1:]) for number, token in enumerate(tokens)]
    path.write_text("\n".join(lines))
    return path
