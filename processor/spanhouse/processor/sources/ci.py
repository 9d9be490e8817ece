"""Commit, branch and repository from the variables of the CI system or platform."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from spanhouse.processor.git.remotes import browser_url, scrub
from spanhouse.processor.metadata_values import Value
from spanhouse.processor.safe_read import read_file
from spanhouse.processor.sources.ci_providers import PROVIDERS, Provider
from spanhouse.schema import vocabulary

_EVENT_LIMIT = 8 << 20
_BRANCHES = "refs/heads/"
_REMOTE, _MAY_NAME_THE_REMOTE = "origin/", "GIT_BRANCH"
_OTHERS = ("refs/", "tags/", "pull/")
_SLUG = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/-")
_HEXADECIMAL = frozenset("0123456789abcdef")
_HOSTS = {"github": "github.com", "gitlab": "gitlab.com", "bitbucket": "bitbucket.org"}

_logger = logging.getLogger("spanhouse.processor")


def from_job(environ: Mapping[str, str], *, disk: Mapping[str, Value]) -> dict[str, Value]:
    """Return the values of the providers in whose job the process runs; providers with a marker outrank conventions without one.

    A provider is left out if the checkout on disk is another project than the job's: ``disk`` has another commit *and* another repository.
    """
    found: dict[str, Value] = {}
    for provider in PROVIDERS:
        if not provider.is_here(environ):
            continue
        own = _read(provider, environ)
        if _is_other_project(own, environ, provider, disk):
            continue
        # Two providers may describe two projects: their values are combined only if their commits agree.
        if not found or provider.marker is None:
            found = own | found if _agrees(own, found) else found
    return found


def _read(provider: Provider, environ: Mapping[str, str]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    head = _pull_request_head(environ.get(provider.event, "")) if provider.event else None
    if head:
        found[vocabulary.GIT_COMMIT.mlflow] = Value(head, f"{provider.name} ({provider.event})")
    else:
        found |= _commit(provider, environ)
    if not any(_builds_tag(environ.get(variable, "").strip(), value) for variable, value in provider.tag.items()):
        found |= _branch(provider, environ)
    for template in provider.urls:
        variables = [part.partition("}")[0] for part in template.split("{")[1:]]
        values = {variable: environ.get(variable, "").strip() for variable in variables}
        for variable in variables:
            if variable.endswith("_PROVIDER"):
                values[variable] = _HOSTS.get(values[variable].lower(), "")
            elif not template.startswith(f"{{{variable}}}") and not _is_slug(values[variable]):
                # Not a name: it could hold a credential or a path of this machine.
                values[variable] = ""
        if all(values.values()):
            url = scrub(template.format_map(values))
            if url:
                found[vocabulary.GIT_REPO_URL.mlflow] = Value(url, f"{provider.name} ({', '.join(variables)})")
                break
    return found


def _is_slug(text: str) -> bool:
    """Tell whether ``text`` is an owner's or a repository's name, or such names with slashes between them."""
    return _SLUG.issuperset(text) and all(part.strip(".") for part in text.split("/"))


def _commit(provider: Provider, environ: Mapping[str, str]) -> dict[str, Value]:
    for variable in provider.commit:
        text = environ.get(variable, "").strip().lower()
        # A release, a revision of another system and "HEAD" are no commits; for conventions a number is none either.
        if 7 <= len(text) <= 64 and _HEXADECIMAL.issuperset(text) and not (provider.marker is None and text.isdigit()):
            return {vocabulary.GIT_COMMIT.mlflow: Value(text, f"{provider.name} ({variable})")}
    return {}


def _branch(provider: Provider, environ: Mapping[str, str]) -> dict[str, Value]:
    for variable in provider.branch:
        text = environ.get(variable, "").strip()
        if not text:
            continue
        branch = text.removeprefix(_BRANCHES)
        if variable == _MAY_NAME_THE_REMOTE:
            branch = branch.removeprefix(_REMOTE)
        if branch == text and (text.startswith(_OTHERS) or text in {"HEAD", "detached"}):
            return {}
        return {vocabulary.GIT_BRANCH.mlflow: Value(branch, f"{provider.name} ({variable})")}
    return {}


def _builds_tag(actual: str, value: str | None) -> bool:
    return bool(actual) if value is None else actual == value


def _pull_request_head(path: str) -> str | None:
    """Return the head of the pull request; the provider's own commit is a merge made only for the test."""
    if not path:
        return None
    import json  # loaded by the SDK, needed only here

    try:
        event = json.loads(read_file(path, _EVENT_LIMIT))
        head = event["pull_request"]["head"]["sha"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        _logger.debug("no head of a pull request in %s: %r", path, error)
        return None
    return head if isinstance(head, str) and head else None


def _is_other_project(found: Mapping[str, Value], environ: Mapping[str, str], provider: Provider, disk: Mapping[str, Value]) -> bool:
    commit, url = disk.get(vocabulary.GIT_COMMIT.mlflow), disk.get(vocabulary.GIT_REPO_URL.mlflow)
    job_url = found.get(vocabulary.GIT_REPO_URL.mlflow)
    if commit is None or url is None or job_url is None:
        return False
    job_commits = {environ.get(variable, "").strip() for variable in provider.commit}
    job_commits |= {value.text for key, value in found.items() if key == vocabulary.GIT_COMMIT.mlflow}
    return commit.text not in job_commits and _page(url.text) != _page(job_url.text)


def _agrees(own: Mapping[str, Value], found: Mapping[str, Value]) -> bool:
    """Tell whether two providers name the same commit; true if either names none."""
    key = vocabulary.GIT_COMMIT.mlflow
    return key not in own or key not in found or own[key].text == found[key].text


def _page(url: str) -> str:
    return (browser_url(url) or url).lower().removesuffix(".git")
