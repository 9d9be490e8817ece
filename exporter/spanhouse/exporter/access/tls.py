"""Certificates of the listeners: read from files, checked, and read again while the server runs."""

from __future__ import annotations

import logging
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

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
    """Where the certificates are, all in PEM.

    Attributes:
        cert: the server's certificate, followed by those between it and its CA.
        key: its private key, not encrypted.
        client_ca: certificates of the CAs whose clients may send; None asks for no client certificates.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    """The files as they were when they were read."""

    otlp: ssl.SSLContext
    """With client certificates, where a CA for them is named."""
    queries: ssl.SSLContext
    grpc: Any  # grpc.ServerCertificateConfiguration, which its type information leaves out


class Certificates:
    """What the listeners show, and whose clients they take. TLS 1.2 or newer, on gRPC as its library has it.

    Raises:
        ConfigError: a file can't be used. One line that names the option.
    """

    def __init__(self, files: TlsFiles) -> None:
        # Absolute, since the process may change its working directory before the files are read again.
        self._files = TlsFiles(files.cert.absolute(), files.key.absolute(), files.client_ca and files.client_ca.absolute())
        self._now = _read(self._files)
        self._given_to_grpc = self._now

    def otlp(self) -> ssl.SSLContext:
        """For a new connection to the OTLP listener; asks for a client certificate where a CA for them is named."""
        return self._now.otlp

    def queries(self) -> ssl.SSLContext:
        """For a new connection to the ClickHouse-compatible listener, which knows its clients by their tokens alone."""
        return self._now.queries

    def grpc(self) -> grpc.ServerCredentials:
        """Credentials that ask here for each new connection whether there is something new."""
        return grpc.dynamic_ssl_server_credentials(self._now.grpc, self._news, self._files.client_ca is not None)

    def reload(self) -> None:
        """Read the files again, for connections from now on; a mistake in them changes nothing."""
        try:
            self._now = _read(self._files)
        except ConfigError as error:
            _log.error("the certificates were not read again, the former ones hold: %s", error)
        else:
            _log.info("certificates read again from %s", self._files.cert)

    def _news(self) -> Any:
        """The new certificates, or None if those given before still hold. Called in threads of gRPC."""
        now = self._now
        if now is self._given_to_grpc:
            return None
        self._given_to_grpc = now
        return now.grpc


def _read(files: TlsFiles) -> _Read:
    chain, key = _text(files.cert, "--tls-cert"), _text(files.key, "--tls-key")
    if _CERTIFICATE not in chain:
        raise ConfigError(f"--tls-cert {files.cert}: holds no certificate in PEM")
    if "PRIVATE KEY-----" not in key:
        raise ConfigError(f"--tls-key {files.key}: holds no private key in PEM")
    if "ENCRYPTED" in key:
        raise ConfigError(f"--tls-key {files.key}: is encrypted and there is nobody to ask for a passphrase; decrypt it with openssl pkey")
    queries = _context(files)
    _check_certificate(queries, chain, files)
    if files.client_ca is None:
        return _Read(queries, queries, grpc.ssl_server_certificate_configuration([(key.encode(), chain.encode())]))
    clients = _text(files.client_ca, "--tls-client-ca")
    otlp = _context(files)
    otlp.verify_mode = ssl.CERT_REQUIRED
    _trust(otlp, clients, files.client_ca)
    return _Read(otlp, queries, grpc.ssl_server_certificate_configuration([(key.encode(), chain.encode())], clients.encode()))


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
        context.load_cert_chain(files.cert, files.key, password="")  # without one, OpenSSL would ask at the terminal
    except ssl.SSLError as error:
        raise ConfigError(f"--tls-cert {files.cert} with --tls-key {files.key}: {_REASONS.get(error.reason, _readable(error))}") from None
    return context


def _check_certificate(context: ssl.SSLContext, chain: str, files: TlsFiles) -> None:
    """Shake hands in memory with a client that trusts this very certificate: what it still complains of, every client will."""
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
        raise ConfigError(f"--tls-client-ca {path}: the certificate has expired; no client could be taken")


def _readable(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()
