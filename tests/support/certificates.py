"""Certificates made for a test: a CA, what it signs, and the files that options name."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import trustme


class Authority:
    """A CA of a test's own.

    Attributes:
        file: its certificate, as clients and ``--tls-client-ca`` take it.
    """

    def __init__(self, directory: Path, name: str = "ca") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._ca = trustme.CA()
        self.file = directory / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def issue(self, name: str, *, identity: str = "127.0.0.1", not_after: datetime | None = None) -> tuple[Path, Path]:
        """Sign a certificate; gives the files of its chain and of its key. The same name writes the same files again."""
        made = self._ca.issue_cert(identity, not_after=not_after)
        chain, key = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        chain.write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
        key.write_bytes(made.private_key_pem.bytes())
        return chain, key
