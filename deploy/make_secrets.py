# ruff: noqa: INP001 a script, on its own
"""Makes the secrets that compose.yaml names: ``python3 deploy/make_secrets.py deploy/secrets``. What is there already stays as it is.

Needs the standard library alone. Tokens for applications and readers are files of their own; the receiver gets their hashes.
"""

from __future__ import annotations

import hashlib
import secrets
import sys
from pathlib import Path

DATABASE = "spanhouse"
TOKENS = {"app": "ingest", "reader": "read", "prometheus": "read"}
READ_IN_CONTAINERS = {"clickhouse.password", "grafana.password", "prometheus.token"}
"""By users other than the one who makes them."""


def main() -> None:
    """Write what is missing below the directory that is named."""
    if len(sys.argv) != 2:
        sys.exit("usage: make_secrets.py DIRECTORY")
    directory = Path(sys.argv[1])
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    tokens = {name: _kept(directory / f"{name}.token") for name in TOKENS}
    lines = [f"{name}:{hashlib.sha256(token.encode()).hexdigest()}:{TOKENS[name]}\n" for name, token in tokens.items()]
    # Containers read it as another user than the one who made it; it holds hashes only.
    _write(directory / "tokens", "".join(lines), 0o644)
    password = _kept(directory / "clickhouse.password")
    _write(directory / "store.env", f"SPANHOUSE_STORE=http://spanhouse:{password}@clickhouse:8123/{DATABASE}\n", 0o600)
    _write(directory / "grafana.env", f"CLICKHOUSE_PASSWORD={password}\n", 0o600)
    _kept(directory / "grafana.password")


def _kept(path: Path) -> str:
    """The secret in a file, which is made if there is none."""
    if not path.exists():
        _write(path, secrets.token_urlsafe(32), 0o644 if path.name in READ_IN_CONTAINERS else 0o600)
    return path.read_text(encoding="ascii")


def _write(path: Path, text: str, mode: int) -> None:
    path.touch(mode=mode)
    path.chmod(mode)
    path.write_text(text, encoding="ascii")


if __name__ == "__main__":
    main()
