"""Origin of an installed distribution: PEP 610's ``direct_url.json``, and the source URL in its metadata.

Nothing is imported and no catalogue of packages is made: the distribution is the one whose RECORD lists the entry point's module. It is
searched beside that module: in site-packages, or where ``pip install --target`` put both.
"""

# pathlib is left out: loading and using it would take its share of every application's start.
# ruff: noqa: PTH118, PTH119, PTH206, PTH208

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence

from spanhouse.processor.git.remotes import scrub
from spanhouse.processor.metadata_values import Value
from spanhouse.processor.safe_read import read_file
from spanhouse.schema import vocabulary

_INSTALLED = ("site-packages", "dist-packages")
_SCRIPTS = "bin/"
_SUFFIX = ".dist-info"
_BUDGET_SECONDS = 0.002
_RECORD_LIMIT = 16 << 20
_LIMIT = 1 << 20
_HEXADECIMAL = frozenset("0123456789abcdef")
# Labels of Project-URL that mean the source (PEP 753 and packaging.python.org, "well-known project URLs"), the most specific first: the
# first one is a convention with the commit as the URL's fragment.
_SOURCE_LABELS = ("sourcecodelink", "source", "repository", "sourcecode", "github")
# Marks in a URL after which the path leads into the repository.
_INSIDE = ("/tree/", "/blob/", "/-/", "/src/branch/", "/src/commit/")

_logger = logging.getLogger("spanhouse.processor")


def from_distribution(module_path: str) -> dict[str, Value]:
    """Return commit and repository of the distribution that installed the file ``module_path``."""
    directory = _distribution_of(module_path)
    if directory is None:
        _logger.debug("no commit from an installed distribution: %s is in none that could be found in time", module_path)
        return {}
    name = os.path.basename(directory).removesuffix(_SUFFIX).partition("-")[0]
    return _from_metadata(directory, name) | _from_direct_url(directory, name)


def _distribution_of(path: str) -> str | None:
    """Return the ``.dist-info`` directory that lists the file in its RECORD."""
    deadline = time.monotonic() + _BUDGET_SECONDS
    for site, line in _places(path):
        for directory in _candidates(site, line.partition("/")[0].removesuffix(".py")):
            try:
                record = b"\n" + read_file(os.path.join(directory, "RECORD"), _RECORD_LIMIT)
            except (OSError, ValueError):
                continue
            # Installers write the path of a command relative to their site-packages.
            if f"\n{line},".encode() in record or (line.startswith(_SCRIPTS) and f"/{line},".encode() in record):
                return directory
            if time.monotonic() > deadline:
                return None
    return None


def _places(path: str) -> Iterator[tuple[str, str]]:
    """Yield the directories that the file's package may be installed in, with the file's path relative to each."""
    parts = path.split(os.sep)
    last = max((number for number, part in enumerate(parts) if part in _INSTALLED), default=None)
    if last is not None:
        if last + 1 < len(parts):
            yield os.sep.join(parts[: last + 1]), "/".join(parts[last + 1 :])
        return
    if len(parts) > 2 and parts[-2] == _SCRIPTS.rstrip("/"):
        yield os.sep.join(parts[:-2]), _SCRIPTS + parts[-1]
    search: Sequence[object] = ["", *sys.path]  # applications put other things there, too
    searched = {os.path.realpath(entry) for entry in search if isinstance(entry, str)}
    for count in range(len(parts) - 1, 1, -1):
        directory = os.sep.join(parts[:count])
        if directory in searched:
            yield directory, "/".join(parts[count:])


def _candidates(site: str, top: str) -> Iterator[str]:
    try:
        names = [name for name in os.listdir(site) if name.endswith(_SUFFIX)]
    except OSError:
        names = []
    # A distribution often has the name of its package, or shares a part of it.
    wanted = _plain(top)
    names.sort(key=lambda name: (_plain(name.partition("-")[0]) != wanted, wanted not in _plain(name), name))
    return (os.path.join(site, name) for name in names)


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(".", "")


def _from_direct_url(directory: str, name: str) -> dict[str, Value]:
    path = os.path.join(directory, "direct_url.json")
    try:
        content = json.loads(read_file(path, _LIMIT))
        vcs, url = content["vcs_info"], content["url"]
        commit = vcs["commit_id"] if vcs["vcs"] == "git" else None
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        _logger.debug("no commit from %s: %r", path, error)
        return {}
    return _found(url, commit, f"direct_url.json of {name}")


def _from_metadata(directory: str, name: str) -> dict[str, Value]:
    path = os.path.join(directory, "METADATA")
    try:
        header = read_file(path, _LIMIT).replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    except (OSError, ValueError) as error:
        _logger.debug("no repository from %s: %r", path, error)
        return {}
    urls: dict[str, str] = {}
    for line in header.decode("utf-8", "replace").splitlines():
        field, _, value = line.partition(":")
        label, comma, url = value.partition(",")
        if field.lower() == "project-url" and comma:
            urls.setdefault("".join(letter for letter in label.lower() if letter.isalnum()), url.strip())
    for label in _SOURCE_LABELS:
        if label in urls:
            url, _, commit = urls[label].partition("#")
            for mark in _INSIDE:
                url = url.partition(mark)[0]
            found = _found(url, commit, f"metadata of {name}")
            if found:
                return found
    return {}


def _found(url: object, commit: object, origin: str) -> dict[str, Value]:
    found: dict[str, Value] = {}
    if isinstance(commit, str) and len(commit) in {40, 64} and _HEXADECIMAL.issuperset(commit.lower()):
        found[vocabulary.GIT_COMMIT.mlflow] = Value(commit.lower(), origin)
    scrubbed = scrub(url.removeprefix("git+")) if isinstance(url, str) else None
    if scrubbed:
        found[vocabulary.GIT_REPO_URL.mlflow] = Value(scrubbed, origin)
    return found
