"""Certificates are checked when they are read, and a mistake is named in one line with the option that it belongs to."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, load_pem_private_key
from tests.support.certificates import Authority

from spanhouse.exporter.access.tls import Certificates, TlsFiles
from spanhouse.exporter.address import ConfigError
from spanhouse.exporter.serve.config import ServeConfig
from spanhouse.schema.address.dsn import parse_store

STORE = parse_store("chdb:///somewhere/store")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def refused(files: TlsFiles) -> str:
    with pytest.raises(ConfigError) as caught:
        Certificates.read(files)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_good_files_are_taken_and_nothing_older_than_tls_1_2_is_spoken(authority: Authority) -> None:
    certificates = Certificates.read(TlsFiles(*authority.issue("good"), authority.file))
    assert certificates.otlp().minimum_version is ssl.TLSVersion.TLSv1_2
    assert certificates.otlp().verify_mode is ssl.CERT_REQUIRED
    assert certificates.queries().verify_mode is ssl.CERT_NONE


def test_a_certificate_that_signed_itself_is_taken(authority: Authority, tmp_path: Path) -> None:
    """As openssl req -x509 makes them, a CA in name."""
    import trustme

    own = trustme.CA()
    own.cert_pem.write_to_path(str(tmp_path / "own.pem"))
    own.private_key_pem.write_to_path(str(tmp_path / "own.key"))
    Certificates.read(TlsFiles(tmp_path / "own.pem", tmp_path / "own.key"))


def test_a_file_that_can_t_be_read_is_named(authority: Authority, tmp_path: Path) -> None:
    chain, key = authority.issue("read")
    nowhere = tmp_path / "nowhere"
    assert refused(TlsFiles(nowhere, key)) == f"--tls-cert {nowhere}: No such file or directory"
    assert refused(TlsFiles(chain, nowhere)) == f"--tls-key {nowhere}: No such file or directory"
    assert refused(TlsFiles(chain, key, nowhere)) == f"--tls-client-ca {nowhere}: No such file or directory"


def test_a_file_that_holds_something_else_is_named(authority: Authority, tmp_path: Path) -> None:
    chain, key = authority.issue("other")
    der = tmp_path / "der"
    der.write_bytes(ssl.PEM_cert_to_DER_cert(authority.file.read_text()))
    assert refused(TlsFiles(key, key)) == f"--tls-cert {key}: holds no certificate in PEM"
    assert refused(TlsFiles(chain, chain)) == f"--tls-key {chain}: holds no private key in PEM"
    assert refused(TlsFiles(chain, key, key)) == f"--tls-client-ca {key}: holds no certificate in PEM"
    assert refused(TlsFiles(chain, key, chain)) == f"--tls-client-ca {chain}: holds no certificate of a CA"
    assert refused(TlsFiles(der, key)).startswith(f"--tls-cert {der}: is not PEM")
    broken = written(tmp_path / "broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert refused(TlsFiles(broken, key)).startswith(f"--tls-cert {broken} with --tls-key {key}: ")


def test_a_key_of_another_certificate_is_refused(authority: Authority) -> None:
    chain, _ = authority.issue("one")
    _, key = authority.issue("two")
    assert refused(TlsFiles(chain, key)) == f"--tls-cert {chain} with --tls-key {key}: the key is not the one of this certificate"


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_a_passphrase(authority: Authority, tmp_path: Path) -> None:
    chain, key = authority.issue("encrypted")
    plain = load_pem_private_key(key.read_bytes(), None)
    encrypted = tmp_path / "key"
    encrypted.write_bytes(plain.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    assert "is encrypted" in refused(TlsFiles(chain, encrypted))


def test_a_certificate_that_clients_would_refuse_for_its_age_is_refused(authority: Authority, tmp_path: Path) -> None:
    chain, key = authority.issue("expired", not_after=datetime.now(UTC) - timedelta(hours=1))
    assert refused(TlsFiles(chain, key)) == f"--tls-cert {chain}: certificate has expired; clients would refuse it"


def test_a_ca_of_clients_that_has_expired_is_refused(authority: Authority, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "clients")])
    ended = datetime.now(UTC) - timedelta(days=1)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, ended - timedelta(days=1), ended)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    clients = tmp_path / "clients.pem"
    clients.write_bytes(made.sign(key, SHA256()).public_bytes(Encoding.PEM))
    said = f"--tls-client-ca {clients}: the certificate has expired; every client would be refused"
    assert refused(TlsFiles(*authority.issue("with clients"), clients)) == said


def test_files_that_became_bad_leave_the_former_certificates_in_force(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    chain, key = authority.issue("reloaded")
    certificates = Certificates.read(TlsFiles(chain, key))
    former = certificates.otlp()
    good = chain.read_text()
    chain.write_text("garbage")
    certificates.reload()
    assert certificates.otlp() is former
    assert "the former ones stay in use: --tls-cert" in caplog.text
    chain.write_text(good)
    certificates.reload()
    assert certificates.otlp() is not former


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tls_cert": Path("c")}, "give both"),
        ({"tls_key": Path("k")}, "give both"),
        ({"tls_client_ca": Path("a")}, "client certificates need TLS"),
    ],
)
def test_options_that_go_together_are_asked_for_together(options: dict[str, Path], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ServeConfig(store=STORE, **options).validate()  # type: ignore[arg-type]


def test_client_certificates_let_otlp_listen_beyond_this_machine_and_nothing_else(tmp_path: Path) -> None:
    tls = {"tls_cert": tmp_path, "tls_key": tmp_path, "tls_client_ca": tmp_path}
    ServeConfig(store=STORE, grpc="0.0.0.0:1", http="[::]:1", **tls).validate()  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"--clickhouse-http 0\.0\.0\.0:1: listening beyond this machine needs --token-file; without it"):
        ServeConfig(store=STORE, clickhouse_http="0.0.0.0:1", **tls).validate()  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"--grpc 0\.0\.0\.0:1: listening beyond this machine needs --token-file or --tls-client-ca"):
        ServeConfig(store=STORE, grpc="0.0.0.0:1", tls_cert=tmp_path, tls_key=tmp_path).validate()


def test_the_clickhouse_endpoint_speaks_tls_where_tokens_leave_this_machine(tmp_path: Path) -> None:
    tls = {"tls_cert": tmp_path, "tls_key": tmp_path, "token_file": tmp_path}
    assert ServeConfig(store=STORE, clickhouse_http="0.0.0.0:1", **tls).over_tls("clickhouse-http")  # type: ignore[arg-type]
    assert not ServeConfig(store=STORE, clickhouse_http="127.0.0.1:1", **tls).over_tls("clickhouse-http")  # type: ignore[arg-type]
    assert not ServeConfig(store=STORE, clickhouse_http="off", **tls).over_tls("clickhouse-http")  # type: ignore[arg-type]
    assert not ServeConfig(store=STORE, clickhouse_http="0.0.0.0:1", token_file=tmp_path).over_tls("clickhouse-http")
