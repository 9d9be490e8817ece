"""Errors: the user's mistake (``FilterError``) and a store that does not answer (``StoreUnavailableError``)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class FilterError(ValueError):
    """A mistake in a filter, an order, a page token or another argument of a search.

    ``str()`` is one line; ``render()`` shows the text with a caret under the mistake.

    Attributes:
        message: description of the mistake.
        text: text with the mistake; '' if there is none to show.
        start: first position of the mistake in ``text``, in characters from 0.
        end: last position of the mistake, exclusive.
        hint: correct form; '' if unknown.
        error_code: MLflow's code for this family of errors.
    """

    error_code: ClassVar[str] = "INVALID_PARAMETER_VALUE"

    def __init__(self, message: str, text: str = "", start: int = 0, end: int = 0, hint: str = "") -> None:
        super().__init__(message, text, start, end, hint)
        self.message = message
        self.text = text
        self.start = start
        self.end = end
        self.hint = hint

    def __str__(self) -> str:
        where = f" (at character {self.start + 1})" if self.text else ""
        return " ".join(f"{self.message}{where}{': ' + self.hint if self.hint else ''}".split())

    def render(self) -> str:
        """Render the message, the text and a caret under the mistake, in three lines; a hint is the fourth."""
        if not self.text:
            return str(self)
        # One character stays one column: a line break or a tab would misplace the caret.
        shown = "".join(character if character.isprintable() else " " for character in self.text)
        lines = [self.message, f"  {shown}", f"  {' ' * self.start}{'^' * max(1, self.end - self.start)}"]
        return "\n".join([*lines, self.hint] if self.hint else lines)


class StoreUnavailableError(RuntimeError):
    """The store or the network failed, or the store has an unexpected state. One line, with the remedy."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint: the known name nearest to the given one, else all known names."""
    names = sorted(set(known))
    if near := difflib.get_close_matches(name, names, n=1, cutoff=0.6) or difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5):
        return f"did you mean {near[0]!r}?"
    return f"known are {', '.join(names)}"
