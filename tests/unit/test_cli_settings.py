"""Where an option's value comes from, and what is said of one that does not fit."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from spanhouse.cli.errors import CommandError
from spanhouse.cli.option import Option
from spanhouse.cli.settings import resolve
from spanhouse.cli.variables import DEPLOYMENT_VARIABLES
from spanhouse.cli.verb_table import VERBS, all_options
from spanhouse.cli.verb_table.serve import SERVE
from spanhouse.cli.verb_table.shared_options import CONFIG
from spanhouse.exporter.serve.config import ServeConfig
from spanhouse.schema.address.dsn import DATA_DIR_VARIABLE, parse_store
from spanhouse.schema.vocabulary import PROCESSOR_VARIABLES

NAME = Option(name="clickhouse-http", help="", default="of the code")
COUNT = Option(name="limit", help="", kind=int, default=20)
FLAG = Option(name="fail-if-empty", help="", kind=bool, default=False)
FORM = Option(name="format", help="", choices=("table", "json"), default="table")
OPTIONS = (NAME, COUNT, FLAG, FORM, CONFIG)


def file(directory: Path, text: str) -> dict[str, str]:
    path = directory / "spanhouse.toml"
    path.write_text(text, encoding="utf-8")
    return {"SPANHOUSE_CONFIG": str(path)}


def value(option: Option, argument: str | bool | None = None, environ: dict[str, str] | None = None) -> object:
    found = resolve(OPTIONS, {option.key: argument}, known=OPTIONS, environ=environ or {})
    return getattr(found, option.key)


def test_an_argument_wins_over_environment_file_and_default_in_that_order(tmp_path: Path) -> None:
    everywhere = {**file(tmp_path, 'clickhouse-http = "of the file"'), "SPANHOUSE_CLICKHOUSE_HTTP": "of the environment"}
    assert value(NAME, "of the line", everywhere) == "of the line"
    assert value(NAME, None, everywhere) == "of the environment"
    assert value(NAME, None, file(tmp_path, 'clickhouse-http = "of the file"')) == "of the file"
    assert value(NAME) == "of the code"


def test_the_file_can_be_named_on_the_command_line(tmp_path: Path) -> None:
    path = file(tmp_path, "limit = 3")["SPANHOUSE_CONFIG"]
    assert resolve(OPTIONS, {"config": path}, known=OPTIONS, environ={}).limit == 3


def test_a_blank_variable_counts_as_unset() -> None:
    assert value(NAME, None, {"SPANHOUSE_CLICKHOUSE_HTTP": "  "}) == "of the code"


def test_values_have_their_option_s_type_wherever_they_come_from(tmp_path: Path) -> None:
    assert value(COUNT, "7") == value(COUNT, None, {"SPANHOUSE_LIMIT": "7"}) == value(COUNT, None, file(tmp_path, "limit = 7")) == 7
    assert (
        value(FLAG, argument=True)
        is value(FLAG, None, {"SPANHOUSE_FAIL_IF_EMPTY": "yes"})
        is value(FLAG, None, file(tmp_path, "fail-if-empty = true"))
    )
    assert value(FLAG, None, {"SPANHOUSE_FAIL_IF_EMPTY": "0"}) is False


def test_a_key_of_the_file_may_be_written_with_underscores(tmp_path: Path) -> None:
    assert value(NAME, None, file(tmp_path, 'clickhouse_http = "of the file"')) == "of the file"


def test_an_unknown_key_of_the_file_is_an_error_that_names_it_and_the_nearest_known_one(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"unknown key 'clickhose-http'; the nearest known one is 'clickhouse-http'"):
        value(COUNT, None, file(tmp_path, 'clickhose-http = "off"'))


def test_one_file_serves_all_verbs_so_a_key_of_another_verb_is_no_error(tmp_path: Path) -> None:
    path = file(tmp_path, "limit = 5\ngrpc = '127.0.0.1:0'")["SPANHOUSE_CONFIG"]
    assert resolve(SERVE.options, {"config": path}, known=all_options(), environ={}).grpc == "127.0.0.1:0"


@pytest.mark.parametrize(
    ("option", "argument", "environ", "named"),
    [
        (COUNT, "many", {}, "--limit: 'many' is not a whole number"),
        (COUNT, None, {"SPANHOUSE_LIMIT": "1.5"}, "SPANHOUSE_LIMIT: '1.5' is not a whole number"),
        (FORM, "xml", {}, "--format: 'xml' is none of table, json"),
        (FORM, None, {"SPANHOUSE_FORMAT": "xml"}, "SPANHOUSE_FORMAT: 'xml' is none of table, json"),
        (FLAG, None, {"SPANHOUSE_FAIL_IF_EMPTY": "perhaps"}, "SPANHOUSE_FAIL_IF_EMPTY: 'perhaps' is not true or false"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_the_place_it_comes_from(
    option: Option, argument: str | None, environ: dict[str, str], named: str
) -> None:
    with pytest.raises(CommandError) as error:
        value(option, argument, environ)
    assert str(error.value) == named


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("limit = 'ten'", "limit in .*: 'ten' is not a whole number"),
        ("limit = true", "limit in .*: True is not a whole number"),
        ("clickhouse-http = 8123", "clickhouse-http in .*: 8123 is not a text"),
        ("format = 'xml'", "format in .*: 'xml' is none of table, json"),
        ("limit = ", "not TOML"),
    ],
)
def test_a_value_of_the_file_that_does_not_fit_is_an_error_that_names_the_file(tmp_path: Path, text: str, said: str) -> None:
    found = file(tmp_path, text)
    with pytest.raises(CommandError, match=said) as error:
        resolve(OPTIONS, {}, known=OPTIONS, environ=found)
    assert found["SPANHOUSE_CONFIG"] in str(error.value)


def test_a_file_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"--config .*nowhere\.toml: No such file"):
        resolve(OPTIONS, {"config": str(tmp_path / "nowhere.toml")}, known=OPTIONS, environ={})


def test_an_option_means_the_same_in_every_verb() -> None:
    kinds: dict[str, object] = {}
    for verb in VERBS:
        for option in verb.options:
            assert kinds.setdefault(option.name, (option.kind, option.choices)) == (option.kind, option.choices)


@pytest.mark.parametrize(
    ("variable", "near"),
    [("SPANHOUSE_LIMT", "SPANHOUSE_LIMIT"), ("SPANHOUSE_DATADIR", "SPANHOUSE_DATA_DIR"), ("SPANHOUSE_GIT_COMIT", "SPANHOUSE_GIT_COMMIT")],
)
def test_an_unknown_variable_is_an_error_that_names_the_nearest_known_one(variable: str, near: str) -> None:
    with pytest.raises(CommandError, match=f"^environment variable {variable}: unknown; the nearest known one is {near}$"):
        resolve(OPTIONS, {}, known=OPTIONS, environ={variable: "1"})
    resolve(OPTIONS, {}, known=OPTIONS, environ={variable: " "})


def test_variables_of_the_processor_of_deployments_and_of_kubernetes_are_no_mistake() -> None:
    links = [
        "SPANHOUSE_SERVICE_HOST",
        "SPANHOUSE_SERVICE_PORT_OTLP_GRPC",
        "SPANHOUSE_PORT",
        "SPANHOUSE_PORT_4317_TCP_ADDR",
        "SPANHOUSE_MAIN_PORT_80_TCP",
    ]
    environ = dict.fromkeys([*PROCESSOR_VARIABLES, *DEPLOYMENT_VARIABLES, DATA_DIR_VARIABLE, *links], "x")
    assert resolve(OPTIONS, {}, known=OPTIONS, environ=environ).limit == 20


def test_every_variable_in_the_files_of_deploy_is_known() -> None:
    deploy = Path(__file__).parents[2] / "deploy"
    found = {name for path in deploy.rglob("*") if path.is_file() for name in re.findall(r"\bSPANHOUSE_[A-Z0-9_]+\b", path.read_text())}
    options = {option.variable for option in all_options()}
    assert found - options - {DATA_DIR_VARIABLE} == set(DEPLOYMENT_VARIABLES)


def test_the_options_of_serve_are_the_fields_of_its_configuration() -> None:
    values = vars(resolve(SERVE.options, {}, known=all_options(), environ={}))
    names = {field.name for field in fields(ServeConfig)} - {"store"}
    assert set(values) - {"store", "config"} == names
    store = parse_store("chdb:///somewhere/store")
    assert ServeConfig(store=store, **{name: values[name] for name in names}) == ServeConfig(store=store)


@pytest.mark.parametrize(("argument", "said"), [("0", "--processes 0: from 1 to 64"), ("65", "--processes 65: from 1 to 64")])
def test_a_number_beyond_its_bounds_is_refused(argument: str, said: str) -> None:
    with pytest.raises(CommandError) as error:
        resolve(SERVE.options, {"processes": argument}, known=all_options(), environ={})
    assert str(error.value) == said
