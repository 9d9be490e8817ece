"""Sources of process metadata in their order of precedence, read at start-up; the caller's arguments, which come first, are in ``process``."""

# pathlib is left out: loading and using it would take its share of every application's start.
# ruff: noqa: PTH120

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import TypeVar

from spanhouse.processor.git.repository import Head, Repository, find_repository, read_head, remote_url
from spanhouse.processor.metadata_values import Found, Value, given
from spanhouse.processor.sources import environment
from spanhouse.processor.sources.entry_point import EntryPoint
from spanhouse.schema import vocabulary

_Result = TypeVar("_Result")
_JOB_VARIABLES = ("AWS_BATCH_JOB_ID", "CLOUD_RUN_JOB", "SLURM_JOB_ID")
_TOLD_BY_A_JOB = frozenset(key.mlflow for key in (vocabulary.GIT_COMMIT, vocabulary.GIT_BRANCH, vocabulary.GIT_REPO_URL))

_logger = logging.getLogger("spanhouse.processor")


class Capture:
    """Metadata from one entry point's surroundings.

    A source that fails counts as empty; the reason is logged once, at DEBUG.

    Args:
        entry: entry point of the process, None if unknown.
        environ: environment variables.
        complete: also ask sources whose every value is outranked, for a report.

    Attributes:
        entry: entry point of the process.
        repository: checkout that holds its code, None without one.
        commit: checked-out commit, None if unknown.
        branch: checked-out branch.
        otel: attributes that the SDK's own detector reads from the environment.
    """

    def __init__(self, entry: EntryPoint | None, environ: Mapping[str, str], *, complete: bool = False) -> None:
        self.entry = entry
        self.otel: Found = _attempt("OTEL_RESOURCE_ATTRIBUTES", environment.from_otel, environ) or {}
        self._own: Found = _attempt("SPANHOUSE_*", environment.from_own, environ) or {}
        self._model: Found = _attempt("the active model", environment.from_mlflow, environ) or {}
        self.repository: Repository | None = None
        self.commit: str | None = None
        self.branch: str | None = None
        if entry and entry.directory:
            self.repository = _attempt("the repository", find_repository, entry.directory, environ)
            if self.repository is None:
                _logger.debug("no commit, branch or repository URL from disk: %s is in no repository", entry.directory)
        else:
            _logger.debug("no commit, branch or repository URL from disk: the entry point is unknown or installed")
        if self.repository:
            self.commit, self.branch = _attempt("HEAD", _read_head, self.repository, environ) or (None, None)
        self._disk = _attempt("the repository", self._from_disk) or {}
        self._ci: Found = {}
        if complete or _TOLD_BY_A_JOB.difference(self._disk):
            from spanhouse.processor.sources.ci import from_job  # start-up: a repository on disk mostly has every value

            self._ci = _attempt("the CI system or platform", lambda: from_job(environ, disk=self._disk)) or {}
        self._stamp = _attempt("the stamp file", self._from_stamp, environ) or {}
        self._distribution = _attempt("the installed distribution", self._from_distribution) or {}
        self._defaults = _attempt("the defaults", self._from_defaults, environ) or {}

    def sources(self, dirty: bool | None) -> list[Found]:
        """Return the sources by rank, the highest first; ``dirty`` is the result of the dirty check, None while unknown."""
        disk = dict(self._disk)
        if dirty is not None and vocabulary.GIT_COMMIT.mlflow in disk:
            disk[vocabulary.GIT_DIRTY.mlflow] = Value("true" if dirty else "false", disk[vocabulary.GIT_COMMIT.mlflow].origin)
        # Variables of a CI job describe the project that it builds; installed code may belong to another.
        stamps = [self._stamp, self._distribution]
        is_installed = self._distribution or (self.entry and self.entry.directory is None)
        built = [*stamps, self._ci] if is_installed else [self._ci, *stamps]
        return [self.otel, self._own, self._model, disk, *built, self._defaults]

    def _from_disk(self) -> dict[str, Value]:
        found: dict[str, Value] = {}
        entry, repository = self.entry, self.repository
        if entry and entry.kind != "script":
            found |= given({vocabulary.SOURCE_NAME.mlflow: entry.name}, f"entry point ({entry.kind})")
        if repository is None:
            return found
        origin = f"repository {repository.root}"
        if entry and entry.kind == "script" and entry.path and (entry.path + os.sep).startswith(repository.root.rstrip(os.sep) + os.sep):
            relative = os.path.relpath(entry.path, repository.root).replace(os.sep, "/")
            found |= given({vocabulary.SOURCE_NAME.mlflow: relative}, f"entry point in {origin}")
        values = {
            vocabulary.GIT_COMMIT.mlflow: self.commit,
            vocabulary.GIT_BRANCH.mlflow: self.branch,
            vocabulary.GIT_REPO_URL.mlflow: remote_url(repository),
        }
        for key in (key for key, value in values.items() if value is None):
            _logger.debug("no %s from %s", key, origin)
        return found | given(values, origin)

    def _from_stamp(self, environ: Mapping[str, str]) -> dict[str, Value]:
        entry = self.entry
        start = (entry.directory or (os.path.dirname(entry.path) if entry.path else None)) if entry else None
        path = environment.stamp_file(environ, start)
        if path is None:
            return {}
        from spanhouse.processor.sources.stamp import read_stamp  # start-up: most processes have none

        found = dict(read_stamp(path, is_named=bool(environ.get(environment.STAMP_FILE, "").strip())))
        name = found.get(vocabulary.SOURCE_NAME.mlflow)
        if name and entry and entry.kind == "script" and name.text.rpartition("/")[2] != entry.name:
            # One image has several entry points; the stamp was written for another.
            del found[vocabulary.SOURCE_NAME.mlflow]
        return found

    def _from_distribution(self) -> Found:
        entry = self.entry
        path = (entry.code or entry.path) if entry and self.repository is None else None
        if path is None:
            return {}
        from spanhouse.processor.sources.distribution import from_distribution  # start-up: most apps have a repository

        return from_distribution(path)

    def _from_defaults(self, environ: Mapping[str, str]) -> dict[str, Value]:
        entry = self.entry
        found = environment.user(environ)
        if entry and entry.kind == "script":
            found |= given({vocabulary.SOURCE_NAME.mlflow: entry.name}, "entry point (file name)")
        kind = "LOCAL"
        if entry and entry.kind == "notebook":
            kind = "NOTEBOOK"
        elif (entry and entry.kind == "job") or any(environ.get(variable, "").strip() for variable in _JOB_VARIABLES):
            kind = "JOB"
        return found | (environment.from_platform(environ) or given({vocabulary.SOURCE_TYPE.mlflow: kind}, "default"))


def _read_head(repository: Repository, environ: Mapping[str, str]) -> Head:
    if repository.uses_reftable:
        from spanhouse.processor.git.executable import ask_head  # rare

        return ask_head(repository, environ)
    return read_head(repository)


def _attempt(source: str, function: Callable[..., _Result], *arguments: object) -> _Result | None:
    try:
        return function(*arguments)
    except Exception as error:  # noqa: BLE001 no fault of the machine may break the application
        _logger.debug("%s has no metadata: %r", source, error)
        return None
