"""Variables by which CI systems tell which version they build."""

# pathlib is left out: loading and using it would take its share of every application's start.
# ruff: noqa: PTH123

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

from spanhouse.processor.remotes import browser_url
from spanhouse.processor.values import Value, given
from spanhouse.schema import vocabulary

_EVENT_LIMIT = 8 << 20
_OTHER_REFS = "refs/"

_logger = logging.getLogger("spanhouse.processor")


class Provider(NamedTuple):
    """A CI system.

    Attributes:
        name: for the report.
        marker: the variable that is set only there.
        commit: variables with the commit, the first one that is set counts.
        branch: variables with the branch or a full reference; the first one that is set decides, a reference that is no branch means none.
        not_branch: a variable and its value (None: any) by which the provider says that a tag is built.
        url: address of the repository, with variables in braces.
        event: variable with the path of a JSON file that describes the event, in GitHub's form.
    """

    name: str
    marker: str
    commit: tuple[str, ...]
    branch: tuple[str, ...]
    not_branch: tuple[str, str | None] | None
    url: str
    event: str | None = None


PROVIDERS = (
    Provider(
        name="GitHub Actions",
        marker="GITHUB_ACTIONS",
        commit=("GITHUB_SHA",),
        branch=("GITHUB_HEAD_REF", "GITHUB_REF", "GITHUB_REF_NAME"),
        not_branch=("GITHUB_REF_TYPE", "tag"),
        url="{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}",
        event="GITHUB_EVENT_PATH",
    ),
    Provider(
        name="GitLab CI",
        marker="GITLAB_CI",
        commit=("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "CI_COMMIT_SHA"),
        branch=("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_BRANCH", "CI_COMMIT_REF_NAME"),
        not_branch=("CI_COMMIT_TAG", None),
        url="{CI_PROJECT_URL}",
    ),
)


def from_ci(environ: Mapping[str, str], *, disk: Mapping[str, Value]) -> dict[str, Value]:
    """Commit, branch and repository as the CI system in whose job the process runs has them.

    Nothing where the checkout on disk is plainly another project than the one that the job was started for: ``disk`` has another
    commit *and* another repository.
    """
    for provider in PROVIDERS:
        if not environ.get(provider.marker, "").strip():
            continue
        found = _read(provider, environ)
        return {} if _is_other_project(found, environ, provider, disk) else found
    return {}


def _read(provider: Provider, environ: Mapping[str, str]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    head = _pull_request_head(environ.get(provider.event, "")) if provider.event else None
    if head:
        found |= given({vocabulary.GIT_COMMIT.mlflow: head}, f"{provider.name} ({provider.event})")
    else:
        found |= _first(provider, environ, provider.commit, vocabulary.GIT_COMMIT.mlflow)
    named = _first(provider, environ, provider.branch, vocabulary.GIT_BRANCH.mlflow)
    for key, value in named.items():
        branch = value.text.removeprefix("refs/heads/")
        if not branch.startswith(_OTHER_REFS) and not _builds_tag(provider, environ):
            found[key] = value._replace(text=branch)
    variables = [part.partition("}")[0] for part in provider.url.split("{")[1:]]
    if all(environ.get(variable, "").strip() for variable in variables):
        url = provider.url.format_map({variable: environ[variable].strip() for variable in variables})
        found |= given({vocabulary.GIT_REPO_URL.mlflow: url}, f"{provider.name} ({', '.join(variables)})")
    return found


def _first(provider: Provider, environ: Mapping[str, str], variables: tuple[str, ...], key: str) -> dict[str, Value]:
    for variable in variables:
        found = given({key: environ.get(variable)}, f"{provider.name} ({variable})")
        if found:
            return found
    return {}


def _builds_tag(provider: Provider, environ: Mapping[str, str]) -> bool:
    if provider.not_branch is None:
        return False
    variable, value = provider.not_branch
    actual = environ.get(variable, "").strip()
    return bool(actual) if value is None else actual == value


def _pull_request_head(path: str) -> str | None:
    """The head of the pull request, where the commit that the provider names is a merge that exists for the test alone."""
    if not path:
        return None
    import json  # loaded by the SDK, needed only here

    try:
        with open(path, "rb") as file:
            event = json.loads(file.read(_EVENT_LIMIT))
        head = event["pull_request"]["head"]["sha"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        _logger.debug("no head of a pull request in %s: %r", path, error)
        return None
    return head if isinstance(head, str) else None


def _is_other_project(found: Mapping[str, Value], environ: Mapping[str, str], provider: Provider, disk: Mapping[str, Value]) -> bool:
    commit, url = disk.get(vocabulary.GIT_COMMIT.mlflow), disk.get(vocabulary.GIT_REPO_URL.mlflow)
    job_url = found.get(vocabulary.GIT_REPO_URL.mlflow)
    if commit is None or url is None or job_url is None:
        return False
    job_commits = {environ.get(variable, "").strip() for variable in provider.commit}
    job_commits |= {value.text for key, value in found.items() if key == vocabulary.GIT_COMMIT.mlflow}
    return commit.text not in job_commits and _page(url.text) != _page(job_url.text)


def _page(url: str) -> str:
    return (browser_url(url) or url).lower().removesuffix(".git")
