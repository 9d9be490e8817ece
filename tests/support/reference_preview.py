"""A trace's input and output as people read them, in plain Python."""

from __future__ import annotations

from typing import Any

from tests.support import reference_words as words
from tests.support.reference_span import as_text, parsed


def preview(key: str, said: str) -> str:
    """Return what is shown of an attribute's value, before it is cut."""
    shown = ""
    if key in words.MESSAGES:
        shown = _message(parsed(said))
    elif key in words.JSON_TEXTS:
        shown = _only_text(parsed(said))
    return shown or said


def _message(messages: Any) -> str:
    """Return the text of the last message of a user that has one, else of the last message that has one."""
    listed = [one for one in messages if isinstance(one, dict)] if isinstance(messages, list) else []
    of_users = [one for one in listed if one.get("role") == "user"]
    of_others = [one for one in listed if one.get("role") != "user"]
    return next((spoken for one in [*reversed(of_users), *reversed(of_others)] if (spoken := _spoken(one))), "")


def _spoken(message: dict[str, Any]) -> str:
    return "\n".join(told for part in message.get("parts", []) if (told := as_text(part.get("content"))))


def _only_text(value: Any) -> str:
    if isinstance(value, dict) and len(value) == 1:
        return as_text(next(iter(value.values())))
    return value if isinstance(value, str) else ""
