"""Options of `serve` are checked before anything is opened, and a mistake is named in one line."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from pathlib import Path

import pytest

from spanhouse.exporter.access.tokens import Right, TokenFile, Tokens
from spanhouse.exporter.address import Address, ConfigError
from spanhouse.exporter.errors import PermissionDeniedError, UnauthenticatedError
from spanhouse.exporter.serve.config import ServeConfig
from spanhouse.schema.address.dsn import StoreError, parse_store, scrub

STORE = parse_store("chdb:///somewhere/store")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:4317", Address("127.0.0.1", 4317)),
        ("[::1]:0", Address("::1", 0)),
        ("localhost:1", Address("localhost", 1)),
        ("off", None),
    ],
)
def test_addresses_are_read(text: str, address: Address | None) -> None:
    assert Address.parse(text, "--grpc") == address
    if address is not None:
        assert str(address) == text


@pytest.mark.parametrize("text", ["", "4317", "host:", ":4317", "host:x", "host:70000", "::1:4317", "host:-1", "OFF"])
def test_what_is_no_address_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="--grpc"):
        Address.parse(text, "--grpc")


@pytest.mark.parametrize("option", ["grpc", "http", "clickhouse_http", "console"])
@pytest.mark.parametrize("address", ["0.0.0.0:1", "[::]:1", "10.1.2.3:1", "example.com:1"])
def test_listening_beyond_this_machine_needs_a_token_file(option: str, address: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="token-file"):
        ServeConfig(store=STORE, **{option: address}).validate()  # type: ignore[arg-type]
    ServeConfig(store=STORE, token_file=tmp_path, **{option: address}).validate()  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"])
def test_loopback_needs_none(address: str) -> None:
    ServeConfig(store=STORE, grpc=address, http=address, clickhouse_http=address, console=address).validate()


def test_a_server_that_could_receive_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="both off"):
        ServeConfig(store=STORE, grpc="off", http="off").validate()


def token_file(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines))
    return path


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def test_a_token_is_taken_in_each_of_its_forms_with_its_rights(tmp_path: Path) -> None:
    tokens = Tokens.read(
        token_file(tmp_path / "t", "# people", "", f"ci:{digest('one')}", f"app:{digest('two')}:ingest", f"ops:{digest('three')}:read,write")
    )
    basic = b64encode(b"any:three").decode()
    tokens.require(Right.INGEST, {"authorization": "Bearer one"}.get)
    tokens.require(Right.READ, {"authorization": "bearer one"}.get)
    tokens.require(Right.WRITE, {"authorization": f"Basic {basic}"}.get)
    for name in ("x-clickhouse-key", "x-api-key", "api-key"):
        tokens.require(Right.INGEST, {name: "two"}.get)
    with pytest.raises(PermissionDeniedError, match="'read'"):
        tokens.require(Right.READ, {"authorization": "Bearer two"}.get)
    with pytest.raises(PermissionDeniedError):
        tokens.require(Right.WRITE, {"authorization": "Bearer one"}.get)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic !!"},
        {"x-clickhouse-key": ""},
        {"x-api-key": "wrong"},
        {"api-key": ""},
        {"authorization": "Bearer wrong", "x-api-key": "one"},
        {"authorization": "Basic \xff"},
    ],
)
def test_without_a_known_token_nobody_is_let_in(headers: dict[str, str], tmp_path: Path) -> None:
    tokens = Tokens.read(token_file(tmp_path / "t", f"ci:{digest('one')}"))
    with pytest.raises(UnauthenticatedError):
        tokens.require(Right.READ, headers.get)


@pytest.mark.parametrize("line", ["secret", "name:secret", f"name:{'a' * 63}", f"name:{'a' * 64}:admin", f":{'a' * 64}"])
def test_a_mistake_in_the_token_file_is_named_by_its_line_and_never_shown(line: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 2") as caught:
        Tokens.read(token_file(tmp_path / "t", "", line))
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_hash_of_an_empty_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="empty token"):
        Tokens.read(token_file(tmp_path / "t", f"a:{digest('')}"))


def test_a_token_file_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        TokenFile.read(tmp_path / "none")


def test_a_reload_with_a_mistake_keeps_the_tokens_that_hold(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = token_file(tmp_path / "t", f"a:{digest('one')}")
    tokens = TokenFile.read(path)
    allowed = tokens.authorizer(Right.READ)
    token_file(path, "garbage")
    tokens.reload()
    assert "not reloaded" in caplog.text
    assert allowed({"authorization": "Bearer one"}) == "a"
    token_file(path, f"b:{digest('two')}")
    tokens.reload()
    assert allowed({"authorization": "Bearer one"}) is None
    assert allowed({"authorization": "Bearer two"}) == "b"


@pytest.mark.parametrize(
    ("dsn", "directory", "database"),
    [
        ("chdb:///a/b", "/a/b", "default"),
        ("chdb:///a/b?database=x1", "/a/b", "x1"),
        ("http://u:p@host:8123/db", None, "db"),
        ("https://host", None, "default"),
        ("http://host:8123?database=db", None, "db"),
    ],
)
def test_store_addresses_are_read(dsn: str, directory: str | None, database: str) -> None:
    store = parse_store(dsn)
    assert (store.directory, store.database) == (None if directory is None else Path(directory), database)


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        "chdb",
        "chdb://",
        "chdb:///",
        "chdb://memory",
        "chdb://host/x",
        "chdb:///a?x=1",
        "chdb:///a#b",
        "postgres://h/d",
        "http://",
        "/a/b",
        "http://h/a b",
    ],
)
def test_what_is_no_store_address_is_refused_in_one_line(dsn: str) -> None:
    with pytest.raises(StoreError) as caught:
        parse_store(dsn)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("http://user:hunter2@host:8123/db", "http://user:***@host:8123/db"),
        ("https://host/db?password=hunter2&database=db", "https://host/db?password=***&database=db"),
        ("chdb:///a/b?database=x", "chdb:///a/b?database=x"),
    ],
)
def test_secrets_in_a_store_address_are_never_shown(dsn: str, shown: str) -> None:
    assert scrub(dsn) == shown
