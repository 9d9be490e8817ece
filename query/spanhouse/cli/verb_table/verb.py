"""Verb of the command, and its words that stand by position."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spanhouse.cli.option import Option


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """Word that stands by position.

    Attributes:
        name: key of its value.
        help: meaning in one line.
        placeholder: word in help texts; '' for the name in upper case.
        optional: may be left out, and is '' then.
        choices: its completions.
    """

    name: str
    help: str
    placeholder: str = ""
    optional: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """Verb of the command, or an action of a group: ``search``, ``store size``.

    Attributes:
        name: one word, or the group's and the action's.
        summary: one line for the list of verbs.
        module: module of ``spanhouse.cli.verbs`` with a function ``run(arguments) -> int``.
        extra: the extra that has the packages it needs; '' if the core has them.
        fixed_options: options that are defined in the table.
        derived_options: makes the options that come first and are derived from another room's fields. Called when they are needed: that room's
            modules take longer to load than ``spanhouse --help`` as a whole should.
        examples: command lines that its help shows.
    """

    name: str
    summary: str
    module: str
    extra: str = "query"
    arguments: tuple[Argument, ...] = ()
    fixed_options: tuple[Option, ...] = ()
    derived_options: Callable[[], tuple[Option, ...]] = tuple
    examples: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[Option, ...]:
        """All options, in the order in which help lists them."""
        return (*self.derived_options(), *self.fixed_options)

    @property
    def group(self) -> str:
        """Group of an action; '' for a verb of one word."""
        return self.name.partition(" ")[0] if " " in self.name else ""

    @property
    def action(self) -> str:
        """Action's word in its group; '' for a verb of one word."""
        return self.name.partition(" ")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Verb that has actions."""

    name: str
    summary: str
