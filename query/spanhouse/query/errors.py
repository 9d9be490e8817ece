"""What can go wrong: the user's mistake (``FilterError``) and a store that does not answer (``StoreUnavailableError``)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class FilterError(ValueError):
    """A filter, an order, a page token or another argument of a search that the caller has to correct.

    ``str()`` is one line; ``render()`` shows the text with a caret under the mistake.

    Attributes:
        message: what is wrong.
        text: the text that holds the mistake; '' where there is none to show.
        start: where the mistake begins in ``text``, in characters from 0.
        end: where it ends, exclusive.
        hint: what to write instead; '' where nothing is near.
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
        """The message, the text and a caret under the mistake, in three lines; the hint, if there is one, in a fourth."""
        if not self.text:
            return str(self)
        # One character stays one column: a line break or a tab would tear the caret from its place.
        shown = "".join(character if character.isprintable() else " " for character in self.text)
        lines = [self.message, f"  {shown}", f"  {' ' * self.start}{'^' * max(1, self.end - self.start)}"]
        return "\n".join([*lines, self.hint] if self.hint else lines)


class StoreUnavailableError(RuntimeError):
    """The store or the network failed, or the store is not what was expected. One line, says what to do."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint: the known name that is nearest to the given one, else all of them."""
    names = sorted(set(known))
    if near := difflib.get_close_matches(name, names, n=1, cutoff=0.6) or difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5):
        return f"did you mean {near[0]!r}?"
    return f"known are {', '.join(names)}"
