"""Option of a verb: one definition for the command line, the environment, the TOML file, completion and docs/options.md."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spanhouse.cli.errors import CommandError

VARIABLE_PREFIX: Final = "SPANHOUSE_"
BYTES: Final = "BYTES"
"""Placeholder of a number of bytes, whose default is shown in a larger unit as well."""
_UNITS: Final = (("GiB", 2**30), ("MiB", 2**20))
_YES: Final = frozenset({"1", "true", "yes", "on"})
_NO: Final = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """Option under one name everywhere: ``--token-file``, ``SPANHOUSE_TOKEN_FILE`` and ``token-file`` in the TOML file.

    Attributes:
        name: word on the command line, without the dashes; key in the TOML file.
        help: purpose in one line, without the default.
        kind: ``str``, a ``StrEnum``, ``int``, ``float``, ``Path``, or ``bool`` for a flag without a value.
        default: value when nobody sets the option; None for none.
        shown_default: words for a default that does not speak for itself.
        choices: all values that the option takes; empty for any.
        metavar: placeholder of the value in help texts.
        least, most: bounds of a number, both allowed.
    """

    name: str
    help: str
    kind: type[str | int | float | bool | Path] = str
    default: str | int | float | bool | None = None
    shown_default: str = ""
    choices: tuple[str, ...] = ()
    metavar: str = ""
    least: float | None = None
    most: float | None = None

    @property
    def key(self) -> str:
        """Name as a Python identifier."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """Environment variable."""
        return f"{VARIABLE_PREFIX}{self.key.upper()}"

    @property
    def placeholder(self) -> str:
        """Value in help texts; '' for a flag."""
        return self.metavar or "|".join(self.choices)

    @property
    def described_default(self) -> str:
        """Default in words."""
        if self.shown_default or self.kind is bool:
            return self.shown_default or "off"
        if self.metavar == BYTES and isinstance(self.default, int):
            unit, size = next((unit, size) for unit, size in _UNITS if self.default % size == 0)
            return f"{self.default} = {self.default // size} {unit}"
        return "" if self.default is None else str(self.default)

    @property
    def bounds(self) -> str:
        """Bounds of a number in words; '' without any."""
        if self.least is None:
            return ""
        return f"at least {self.least}" if self.most is None else f"{self.least} to {self.most}"

    def parse(self, text: str, where: str) -> object:
        """Return the value of a text from the command line or the environment.

        Raises:
            CommandError: the text is no value of this option.
        """
        if self.kind is bool:
            if text.lower() in _YES | _NO:
                return text.lower() in _YES
            raise CommandError(f"{where}: {text!r} is not true or false")
        self._check_choice(text, where)
        try:
            value = self.kind(text)
        except ValueError:
            raise CommandError(f"{where}: {text!r} is not a {'whole ' if self.kind is int else ''}number") from None
        return self._check_bounds(value, where)

    def take(self, value: object, where: str) -> object:
        """Return the value of a TOML value.

        Raises:
            CommandError: the value has another type than this option, or is none of its values.
        """
        if isinstance(value, str) and issubclass(self.kind, str | Path):
            self._check_choice(value, where)
            return self.kind(value)
        if self.kind is float and isinstance(value, int | float) and not isinstance(value, bool):
            return self._check_bounds(float(value), where)
        if type(value) is self.kind:
            return self._check_bounds(value, where)
        wanted = {int: "a whole number", float: "a number", bool: "true or false"}.get(self.kind, "a text")
        raise CommandError(f"{where}: {value!r} is not {wanted}")

    def _check_choice(self, text: str, where: str) -> None:
        if self.choices and text not in self.choices:
            raise CommandError(f"{where}: {text!r} is none of {', '.join(self.choices)}")

    def _check_bounds(self, value: object, where: str) -> object:
        if self.least is None and self.most is None:
            return value
        from spanhouse.exporter.serve.config import out_of_bounds  # loaded when a bound is there: help should not wait for it

        if outside := out_of_bounds(value, self.least, self.most):
            raise CommandError(f"{where} {value}: {outside}")
        return value
