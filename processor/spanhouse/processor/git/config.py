"""Reader of git's configuration syntax (``git help config``). ``include`` is not followed."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

from spanhouse.processor.safe_read import read_file

_ESCAPES = {"n": "\n", "t": "\t", "b": "\b", '"': '"', "\\": "\\"}
_FALSE = frozenset({"false", "no", "off", "0", ""})
_BLANKS = " \t\v\f\r"  # git knows no others
_LIMIT = 1 << 20

_logger = logging.getLogger("spanhouse.processor")


class GitConfig:
    """Settings of one or more configuration files, in their order.

    Sections and variables compare without case, subsections with it. A malformed line ends its file: git would refuse such a file; the
    settings before the line are kept.
    """

    def __init__(self) -> None:
        self._settings: list[tuple[str, str, str, str | None]] = []

    def read(self, path: str) -> None:
        """Add a file's settings; one that is missing or unreadable adds none."""
        try:
            text = read_file(path, _LIMIT).decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            _logger.debug("no settings from %s: %s", path, error)
            return
        self._settings.extend(_parse(text))

    def get(self, section: str, key: str, subsection: str = "") -> str | None:
        """Return the last value that was set; None if there is none, ``true`` for a variable without a value."""
        found = None
        for at_section, at_subsection, at_key, value in self._settings:
            if at_key == key and at_section == section and at_subsection == subsection:
                found = "true" if value is None else value
        return found

    def path(self, section: str, key: str) -> str | None:
        """Return the last value as a path, in the encoding of the file system."""
        value = self.get(section, key)
        return None if value is None else os.fsdecode(value.encode("utf-8", "surrogateescape"))

    def flag(self, section: str, key: str, *, default: bool) -> bool:
        """Return a boolean setting."""
        value = self.get(section, key)
        return default if value is None else value.lower() not in _FALSE

    def remotes(self) -> list[tuple[str, str]]:
        """Return the names of remotes with their first URL, in the order of the file."""
        urls: dict[str, str] = {}
        for section, subsection, key, value in self._settings:
            if section == "remote" and key == "url" and value and subsection:
                urls.setdefault(subsection, value)
        return list(urls.items())


def _parse(text: str) -> Iterator[tuple[str, str, str, str | None]]:
    section, subsection = "", ""
    lines = iter(text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"))
    for line in lines:
        rest = line.strip(_BLANKS)
        if rest.startswith("["):
            header = _header(rest)
            if header is None:
                return
            section, subsection, rest = header
        if not rest or rest[0] in "#;":
            continue
        name, equals, raw = rest.partition("=")
        if not equals:
            # A variable without a value; a comment may follow it.
            name = rest.split("#", 1)[0].split(";", 1)[0]
        key = name.strip(_BLANKS).lower()
        if not section or not _is_name(key):
            return
        if not equals:
            yield section, subsection, key, None
            continue
        value = _value(raw.lstrip(_BLANKS), lines)
        if value is None:
            return
        yield section, subsection, key, value


def _is_name(key: str) -> bool:
    return key[:1].isalpha() and key.isascii() and key.replace("-", "").isalnum()


def _header(line: str) -> tuple[str, str, str] | None:
    """Split a header line into section, subsection and the rest after the bracket; None if it is no header."""
    position = 1
    while position < len(line) and ((line[position].isascii() and line[position].isalnum()) or line[position] in "-."):
        position += 1
    section = line[1:position].lower()
    if not section:
        return None
    rest = line[position:]
    if rest.startswith("]"):
        # [section.subsection] is the old form, in which the subsection has no case.
        section, _, subsection = section.partition(".")
        return section, subsection, rest[1:].strip(_BLANKS)
    rest = rest.lstrip(_BLANKS)
    if not rest.startswith('"'):
        return None
    letters: list[str] = []
    position = 1
    while position < len(rest) and rest[position] != '"':
        if rest[position] == "\\":
            position += 1
        letters.append(rest[position : position + 1])
        position += 1
    if rest[position : position + 2] != '"]':
        return None
    return section, "".join(letters), rest[position + 2 :].strip(_BLANKS)


def _value(raw: str, lines: Iterator[str]) -> str | None:
    """Resolve quotes, escapes, comments and continued lines of a value; None if it is malformed."""
    letters: list[str] = []
    quoted = False
    kept = 0  # number of letters without blanks at the end
    position = 0
    while True:
        if position >= len(raw):
            break
        letter = raw[position]
        position += 1
        if letter == "\\":
            if position >= len(raw):
                following = next(lines, None)
                if following is None:
                    return None
                raw, position = following, 0
                continue
            escaped = _ESCAPES.get(raw[position])
            if escaped is None:
                return None
            position += 1
            letters.append(escaped)
            kept = len(letters)
        elif letter == '"':
            quoted = not quoted
            kept = len(letters)
        elif letter in "#;" and not quoted:
            break
        else:
            letters.append(letter)
            if quoted or letter not in _BLANKS:
                kept = len(letters)
    return None if quoted else "".join(letters[:kept])
