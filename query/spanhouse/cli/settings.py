"""Where an option's value comes from: argument, then environment, then TOML file, then default."""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from spanhouse.cli.errors import CommandError

_YES: Final = frozenset({"1", "true", "yes", "on"})
_NO: Final = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option of a verb, under one name everywhere: ``--token-file``, ``SPANHOUSE_TOKEN_FILE`` and ``token-file`` in the file.

    Attributes:
        name: as on the command line, without the dashes.
        help: what it is for, without its default.
        kind: ``str``, ``int``, ``float``, ``Path``, or ``bool`` for a flag without a value.
        default: used when nobody sets it; None for none.
        shown_default: what the help says of the default where that is not the value itself.
        choices: the only values that it takes; empty for any.
        metavar: what the help calls its value.
    """

    name: str
    help: str
    kind: type[str | int | float | bool | Path] = str
    default: str | int | float | bool | None = None
    shown_default: str = ""
    choices: tuple[str, ...] = ()
    metavar: str = ""

    @property
    def key(self) -> str:
        """Its name as a Python identifier."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"SPANHOUSE_{self.key.upper()}"

    def parse(self, text: str, where: str) -> object:
        """The value of a text from the command line or the environment.

        Raises:
            CommandError: the text is no value of this option.
        """
        if self.kind is bool:
            if text.lower() in _YES | _NO:
                return text.lower() in _YES
            raise CommandError(f"{where}: {text!r} is not true or false")
        try:
            return self._check(self.kind(text), where)
        except ValueError:
            raise CommandError(f"{where}: {text!r} is not a {'whole ' if self.kind is int else ''}number") from None

    def take(self, value: object, where: str) -> object:
        """The value of a TOML value.

        Raises:
            CommandError: it has another type than this option.
        """
        if self.kind in {str, Path} and isinstance(value, str):
            return self._check(self.kind(value), where)
        if self.kind is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if type(value) is self.kind:
            return value
        wanted = {str: "a text", Path: "a text", int: "a whole number", float: "a number", bool: "true or false"}[self.kind]
        raise CommandError(f"{where}: {value!r} is not {wanted}")

    def _check(self, value: object, where: str) -> object:
        if self.choices and value not in self.choices:
            raise CommandError(f"{where}: {value!r} is none of {', '.join(self.choices)}")
        return value


def resolve(
    options: Iterable[Option], arguments: Mapping[str, str | bool | None], *, known: Iterable[Option], environ: Mapping[str, str] = os.environ
) -> argparse.Namespace:
    """The values of a verb's options, under ``Option.key``.

    Args:
        options: the verb's.
        arguments: what the command line gave, by ``Option.key``, as text or True for a flag; None or nothing for what it did not give.
        known: the options of all verbs: what the TOML file may hold, since all verbs share one.
        environ: the environment; a blank variable counts as unset.

    Raises:
        CommandError: a value does not fit its option, or the file can't be read or holds an unknown key.
    """
    values: dict[str, object] = {}
    file: Mapping[str, object] = {}
    path: Path | None = None
    for option in sorted(options, key=lambda option: option.name != CONFIG.name):  # the file's name is wanted first
        given = arguments.get(option.key)
        variable = environ.get(option.variable, "").strip()
        if given is not None:
            values[option.key] = given if isinstance(given, bool) else option.parse(given, f"--{option.name}")
        elif variable:
            values[option.key] = option.parse(variable, option.variable)
        elif option.name in file:
            values[option.key] = option.take(file[option.name], f"{option.name} in {path}")
        else:
            values[option.key] = option.default
        if option is CONFIG and isinstance(found := values[option.key], Path):
            path = found
            file = _read(path, {known_option.name for known_option in known} - {CONFIG.name})
    return argparse.Namespace(**values)


def _read(path: Path, known: set[str]) -> Mapping[str, object]:
    try:
        with path.open("rb") as opened:
            found = tomllib.load(opened)
    except OSError as error:
        raise CommandError(f"--config {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CommandError(f"--config {path}: not TOML: {error}") from None
    values = {key.replace("_", "-"): value for key, value in found.items()}
    for key in found:
        if key.replace("_", "-") not in known:
            near = get_close_matches(key.replace("_", "-"), sorted(known), n=1, cutoff=0)
            raise CommandError(f"--config {path}: unknown key {key!r}; the nearest known one is {near[0]!r}")
    return values


CONFIG: Final = Option(name="config", kind=Path, metavar="FILE", help="TOML file with a key for each option")
STORE: Final = Option(
    name="store",
    metavar="DSN",
    help="chdb:///abs/dir or http(s)://user:password@host:8123/database",
    shown_default="the running server, else the embedded store of this user",
)
FORMAT: Final = Option(name="format", choices=("table", "json", "csv", "markdown"), default="table", help="how to print the result")
