"""Values of options: the argument, else the environment variable, else the key of the TOML file, else the default."""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from spanhouse.cli.errors import CommandError
from spanhouse.cli.option import Option
from spanhouse.cli.text import nearest
from spanhouse.cli.variables import refuse_unknown
from spanhouse.cli.verb_table.shared_options import CONFIG


def resolve(
    options: Iterable[Option], arguments: Mapping[str, str | bool | None], *, known: Iterable[Option], environ: Mapping[str, str] = os.environ
) -> argparse.Namespace:
    """Return the values of a verb's options, under ``Option.key``.

    Args:
        options: the verb's.
        arguments: values of the command line by ``Option.key``, as text or True for a flag; None or nothing for an option that it leaves out.
        known: the options of all verbs: the TOML file and the environment may set any, since all verbs share them.
        environ: the environment; a blank variable counts as unset.

    Raises:
        CommandError: a value does not fit its option, the file can't be read, or the file or the environment has an unknown name.
    """
    refuse_unknown(environ, known)
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
            raise CommandError(f"--config {path}: unknown key {key!r}; the nearest known one is {nearest(key.replace('_', '-'), known)!r}")
    return values
