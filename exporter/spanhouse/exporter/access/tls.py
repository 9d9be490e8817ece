"""TLS certificates of the listeners: read from files, checked, reloaded while the server runs."""

from __future__ import annotations

import logging
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import grpc

from spanhouse.exporter.address import ConfigError

_log = logging.getLogger(__name__)

_CERTIFICATE: Final = "-----BEGIN CERTIFICATE-----"
_REASONS: Final = {
    "KEY_VALUES_MISMATCH": "the key is not the one of this certificate",
    "EE_KEY_TOO_SMALL": "its key is too short to be safe",
    "CA_MD_TOO_WEAK": "its signature is too weak to be safe",
}


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of the PEM files.

    Attributes:
        cert: the server's certificate, followed by the intermediate ones.
        key: its private key, not encrypted.
        client_ca: certificates of the CAs whose clients may send; None asks for no client certificates.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class _Loaded:
    """TLS contexts made from one reading of the files."""

    otlp: ssl.SSLContext
    """Asks for client certificates if a CA for them is set."""
    queries: ssl.SSLContext
    grpc: Any  # grpc.ServerCertificateConfiguration, missing in its type stubs


class Certificates:
    """Current certificates of the listeners, and CAs of their clients. HTTP takes TLS 1.2 or newer, gRPC its library's default."""

    def __init__(self, files: TlsFiles, loaded: _Loaded) -> None:
        self._files = files
        self._current = loaded
        self._given_to_grpc = loaded

    @classmethod
    def read(cls, files: TlsFiles) -> Self:
        """Read and check the files.

        Raises:
            ConfigError: a file can't be used. One line that names the option.
        """
        # Absolute, since the process may change its working directory before a reload.
        absolute = TlsFiles(files.cert.absolute(), files.key.absolute(), files.client_ca and files.client_ca.absolute())
        return cls(absolute, _read(absolute))

    def otlp(self) -> ssl.SSLContext:
        """Return the context of a new OTLP connection; it asks for a client certificate if a CA for them is set."""
        return self._current.otlp

    def queries(self) -> ssl.SSLContext:
        """Return the context of a new query connection, whose client is identified by its token alone."""
        return self._current.queries

    def grpc(self) -> grpc.ServerCredentials:
        """Return credentials that look for reloaded certificates at each new connection."""
        return grpc.dynamic_ssl_server_credentials(self._current.grpc, self._changed, self._files.client_ca is not None)

    def reload(self) -> None:
        """Read the files again for new connections; on an error the former certificates stay in use."""
        try:
            self._current = _read(self._files)
        except ConfigError as error:
            _log.error("the certificates were not reloaded, the former ones stay in use: %s", error)
        else:
            _log.info("certificates reloaded from %s", self._files.cert)

    def _changed(self) -> Any:
        """Return reloaded certificates, None if there are none. Called in threads of gRPC."""
        current = self._current
        if current is self._given_to_grpc:
            return None
        self._given_to_grpc = current
        return current.grpc


def _read(files: TlsFiles) -> _Loaded:
    chain, key = _text(files.cert, "--tls-cert"), _text(files.key, "--tls-key")
    if _CERTIFICATE not in chain:
        raise ConfigError(f"--tls-cert {files.cert}: holds no certificate in PEM")
    if "PRIVATE KEY-----" not in key:
        raise ConfigError(f"--tls-key {files.key}: holds no private key in PEM")
    if "ENCRYPTED" in key:
        raise ConfigError(f"--tls-key {files.key}: is encrypted, and the server asks for no passphrase; decrypt it with openssl pkey")
    queries = _context(files)
    _check_certificate(queries, chain, files)
    if files.client_ca is None:
        return _Loaded(queries, queries, grpc.ssl_server_certificate_configuration([(key.encode(), chain.encode())]))
    clients = _text(files.client_ca, "--tls-client-ca")
    otlp = _context(files)
    otlp.verify_mode = ssl.CERT_REQUIRED
    _trust(otlp, clients, files.client_ca)
    return _Loaded(otlp, queries, grpc.ssl_server_certificate_configuration([(key.encode(), chain.encode())], clients.encode()))


def _text(path: Path, option: str) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise ConfigError(f"{option} {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{option} {path}: is not PEM; convert it: openssl x509 -inform der, or openssl pkcs12") from None


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(files.cert, files.key, password="")  # without a password, OpenSSL asks at the terminal
    except ssl.SSLError as error:
        raise ConfigError(f"--tls-cert {files.cert} with --tls-key {files.key}: {_REASONS.get(error.reason, _readable(error))}") from None
    return context


def _check_certificate(context: ssl.SSLContext, chain: str, files: TlsFiles) -> None:
    """Refuse a certificate that every client would refuse: do a handshake in memory with a client that trusts this very certificate."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cadata=chain)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [client.wrap_bio(to_client, to_server), context.wrap_bio(to_server, to_client, server_side=True)]
    try:
        while sides:
            for side in tuple(sides):
                try:
                    side.do_handshake()
                    sides.remove(side)
                except ssl.SSLWantReadError:
                    continue
    except ssl.SSLCertVerificationError as error:
        raise ConfigError(f"--tls-cert {files.cert}: {error.verify_message}; clients would refuse it") from None
    except ssl.SSLError as error:
        raise ConfigError(f"--tls-cert {files.cert}: {_readable(error)}") from None


def _trust(context: ssl.SSLContext, clients: str, path: Path) -> None:
    try:
        context.load_verify_locations(cadata=clients)
    except ssl.SSLError:
        raise ConfigError(f"--tls-client-ca {path}: holds no certificate in PEM") from None
    ends = [ssl.cert_time_to_seconds(str(found["notAfter"])) for found in context.get_ca_certs()]
    if not ends:
        raise ConfigError(f"--tls-client-ca {path}: holds no certificate of a CA")
    if max(ends) < time.time():
        raise ConfigError(f"--tls-client-ca {path}: the certificate has expired; every client would be refused")


def _readable(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()
