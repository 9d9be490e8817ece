"""Git attributes that may convert a file's content before git stores it (gitattributes(5))."""

# pathlib is left out: loading and using it would take its share of every application's start.
# ruff: noqa: PTH118

from __future__ import annotations

import fnmatch
import os
from collections.abc import Mapping

from spanhouse.processor.git.config import GitConfig
from spanhouse.processor.git.repository import Repository
from spanhouse.processor.safe_read import read_file

_CONVERTING = (b"filter", b"ident", b"encoding", b"[attr]")
_PLAIN_PATTERN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-*")
_LIMIT = 1 << 20


class Attributes:
    """Attribute files that apply to the paths of one repository.

    Line endings are ignored here: the comparison of contents handles them. Only the simplest patterns are matched, by file name; any other
    pattern counts as a match.
    """

    def __init__(self, repository: Repository, environ: Mapping[str, str]) -> None:
        self._root = os.fsencode(repository.root)
        self._by_directory: dict[bytes, list[bytes | None]] = {}
        self._everywhere: list[bytes | None] = []
        for path in (os.path.join(repository.common_dir, "info", "attributes"), *_global_files(repository, environ)):
            self._everywhere += _patterns(os.fsencode(path))

    def may_convert(self, path: bytes) -> bool:
        """Tell whether a filter, ``ident`` or an encoding may apply to the tracked ``path``."""
        directory, _, name = path.rpartition(b"/")
        patterns = list(self._everywhere)
        while True:
            if directory not in self._by_directory:
                self._by_directory[directory] = _patterns(os.path.join(self._root, directory, b".gitattributes"))
            patterns += self._by_directory[directory]
            if not directory:
                break
            directory = directory.rpartition(b"/")[0]
        return any(pattern is None or fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _patterns(path: bytes) -> list[bytes | None]:
    """Return the patterns of lines that may convert; None for a pattern too complex to match here, and for an unreadable file."""
    try:
        content = read_file(path, _LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError:
        return [None]
    patterns: list[bytes | None] = []
    for line in content.splitlines():
        if any(word in line for word in _CONVERTING) and not line.lstrip().startswith(b"#"):
            pattern = line.split(maxsplit=1)[0]
            patterns.append(pattern if _PLAIN_PATTERN.issuperset(pattern) else None)
    return patterns


def _global_files(repository: Repository, environ: Mapping[str, str]) -> list[str]:
    home = environ.get("HOME", "")
    settings = environ.get("XDG_CONFIG_HOME") or (home and os.path.join(home, ".config"))
    config = GitConfig()
    config.read("/etc/gitconfig")
    if settings:
        config.read(os.path.join(settings, "git", "config"))
    if home:
        config.read(os.path.join(home, ".gitconfig"))
    if environ.get("GIT_CONFIG_GLOBAL"):
        config.read(environ["GIT_CONFIG_GLOBAL"])
    own = repository.config.path("core", "attributesfile") or config.path("core", "attributesfile")
    if not own:
        own = settings and os.path.join(settings, "git", "attributes")
    elif own.startswith("~/"):
        own = home and os.path.join(home, own.removeprefix("~/"))
    return ["/etc/gitattributes", *([own] if own else [])]
