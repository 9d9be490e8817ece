"""Credentials of the listeners: tokens, certificates and CORS origins, read at the start and again on SIGHUP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from spanhouse.exporter.access.tls import Certificates, TlsFiles
from spanhouse.exporter.access.tokens import TokenFile
from spanhouse.exporter.serve.config import ServeConfig
from spanhouse.exporter.transport.cors import parse_origins


@dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials that every listener checks before it takes a request.

    Attributes:
        tokens: tokens and their rights.
        certificates: certificates for TLS; None for no TLS.
        origins: origins of the web pages that may send OTLP over HTTP.
    """

    tokens: TokenFile
    certificates: Certificates | None
    origins: frozenset[str]

    @classmethod
    def read(cls, config: ServeConfig) -> Self:
        """Read the files that the options name.

        Raises:
            ConfigError: a file can't be read or used.
        """
        certificates = None
        if config.tls_cert is not None and config.tls_key is not None:
            certificates = Certificates.read(TlsFiles(config.tls_cert, config.tls_key, config.tls_client_ca))
        return cls(TokenFile.read(config.token_file), certificates, parse_origins(config.cors_origins))

    def reload(self) -> None:
        """Read the files again; a file with a mistake changes nothing."""
        self.tokens.reload()
        if self.certificates is not None:
            self.certificates.reload()
