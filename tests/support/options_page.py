"""The page of docs/ that lists all verbs, options, environment variables and exit codes, made from the table of verbs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from spanhouse.cli.errors import Exit
from spanhouse.cli.option import Option
from spanhouse.cli.variables import DEPLOYMENT_VARIABLES
from spanhouse.cli.verb_table import VERBS
from spanhouse.cli.verb_table.serve import SERVE
from spanhouse.schema.address.dsn import DATA_DIR_VARIABLE
from spanhouse.schema.vocabulary import PROCESSOR_VARIABLES

_INTRODUCTION: Final = """# Options

<!-- Made from the table of verbs in query/spanhouse/cli; REGENERATE_GOLDEN=1 makes it anew with the test of this page. -->

Every option stands on the command line, in an environment variable and in the TOML file that `--config` names, under one name:
`--token-file FILE`, `SPANHOUSE_TOKEN_FILE=FILE`, `token-file = "FILE"`. An argument outranks the environment, the environment the file, the file
the default. A flag is `true` or `false` in the environment and the file. One file serves all verbs. An unknown option, an unknown key of
the file and an unknown `SPANHOUSE_*` variable are errors that name the nearest known one.

## Options of serve

"""

_OTHERS: Final = """
## Options of the other verbs

"""

_VERBS: Final = """
## Verbs

| verb | does | options |
| --- | --- | --- |
"""

_VARIABLES: Final = """
## Variables that are no options

`{data_dir}` names the directory of all data. The processor reads {processor}: see [stamping.md](stamping.md). Files of `deploy/` read {deployment}.

## Exit codes

| code | meaning |
| --- | --- |
"""


def page() -> str:
    """Return the page's text."""
    others: dict[tuple[str, str], tuple[Option, list[str]]] = {}
    for verb in VERBS:
        for option in verb.options:
            if verb is not SERVE and option not in SERVE.options:
                others.setdefault((option.name, option.help), (option, []))[1].append(verb.name)
    serve = _head(("option", "variable", "default", "meaning")) + "".join(_row(option) for option in SERVE.options)
    rest = _head(("option", "variable", "default", "meaning", "verbs")) + "".join(_row(option, _listed(verbs)) for option, verbs in others.values())
    verbs = "".join(f"| `{verb.name}` | {_cell(verb.summary)} | {_listed(f'--{option.name}' for option in verb.options)} |\n" for verb in VERBS)
    variables = _VARIABLES.format(data_dir=DATA_DIR_VARIABLE, processor=_listed(PROCESSOR_VARIABLES), deployment=_listed(DEPLOYMENT_VARIABLES))
    codes = "".join(f"| {code.value} | {_cell(code.meaning)} |\n" for code in Exit)
    return _INTRODUCTION + serve + _OTHERS + rest + _VERBS + verbs + variables + codes


def _head(titles: Iterable[str]) -> str:
    cells = list(titles)
    return f"| {' | '.join(cells)} |\n|{' --- |' * len(cells)}\n"


def _row(option: Option, *more: str) -> str:
    word = f"--{option.name} {option.placeholder}".strip()
    meaning = f"{option.help} ({option.bounds})" if option.bounds else option.help
    cells = (f"`{_cell(word)}`", f"`{option.variable}`", _cell(option.described_default), _cell(meaning), *more)
    return f"| {' | '.join(cells)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
