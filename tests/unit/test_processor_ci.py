"""Every provider of the table, by the variables that it sets, and that none of them lets a credential out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanhouse.processor.sources import environment
from spanhouse.processor.sources.capture import Capture
from spanhouse.processor.sources.ci import from_job
from spanhouse.processor.sources.ci_providers import PROVIDERS
from spanhouse.processor.sources.entry_point import EntryPoint
from spanhouse.processor.sources.first_found import resolve

COMMIT, BRANCH, URL = "mlflow.source.git.commit", "mlflow.source.git.branch", "mlflow.source.git.repoURL"
SHA, OTHER = "0123456789abcdef" * 2 + "01234567", "f" * 40
HTTPS = "https://github.com/o/r"

JOBS = {
    "GitHub Actions": {"GITHUB_ACTIONS": "true", "GITHUB_SHA": SHA, "GITHUB_REF": "refs/heads/topic", "GITHUB_REPOSITORY": "o/r"}
    | {"GITHUB_SERVER_URL": "https://github.com"},
    "GitLab CI": {"GITLAB_CI": "true", "CI_COMMIT_SHA": SHA, "CI_COMMIT_BRANCH": "topic", "CI_PROJECT_URL": HTTPS}
    | {"CI_REPOSITORY_URL": "https://gitlab-ci-token:s3cr3t@github.com/o/r.git"},
    "CircleCI": {"CIRCLECI": "true", "CIRCLE_SHA1": SHA, "CIRCLE_BRANCH": "topic", "CIRCLE_REPOSITORY_URL": "git@github.com:o/r.git"},
    "Buildkite": {"BUILDKITE": "true", "BUILDKITE_COMMIT": SHA, "BUILDKITE_BRANCH": "topic", "BUILDKITE_REPO": "https://s3cr3t@github.com/o/r.git"},
    "Azure Pipelines": {"TF_BUILD": "True", "BUILD_SOURCEVERSION": SHA, "BUILD_SOURCEBRANCH": "refs/heads/topic", "BUILD_REPOSITORY_URI": HTTPS},
    "Bitbucket Pipelines": {"BITBUCKET_COMMIT": SHA, "BITBUCKET_BRANCH": "topic", "BITBUCKET_GIT_HTTP_ORIGIN": HTTPS},
    "Travis CI": {"TRAVIS": "true", "TRAVIS_COMMIT": SHA, "TRAVIS_BRANCH": "topic", "TRAVIS_REPO_SLUG": "o/r"},
    "Drone": {"DRONE": "true", "DRONE_COMMIT_SHA": SHA, "DRONE_BRANCH": "topic", "DRONE_GIT_HTTP_URL": f"{HTTPS}.git"},
    "Woodpecker": {"CI": "woodpecker", "CI_COMMIT_SHA": SHA, "CI_COMMIT_BRANCH": "topic", "CI_REPO_URL": HTTPS},
    "AppVeyor": {"APPVEYOR": "True", "APPVEYOR_REPO_COMMIT": SHA, "APPVEYOR_REPO_BRANCH": "topic", "APPVEYOR_REPO_NAME": "o/r"}
    | {"APPVEYOR_REPO_PROVIDER": "gitHub"},
    "TeamCity": {"TEAMCITY_VERSION": "2026.1", "BUILD_VCS_NUMBER": SHA},
    "AWS CodeBuild": {"CODEBUILD_BUILD_ID": "b:1", "CODEBUILD_RESOLVED_SOURCE_VERSION": SHA, "CODEBUILD_WEBHOOK_HEAD_REF": "refs/heads/topic"}
    | {"CODEBUILD_SOURCE_REPO_URL": f"{HTTPS}.git"},
    "Semaphore": {"SEMAPHORE": "true", "SEMAPHORE_GIT_SHA": SHA, "SEMAPHORE_GIT_BRANCH": "topic", "SEMAPHORE_GIT_URL": "git@github.com:o/r.git"},
    "Bamboo": {"bamboo_planRepository_revision": SHA, "bamboo_planRepository_branchName": "topic", "bamboo_planRepository_repositoryUrl": HTTPS},
    "Codefresh": {"CF_BUILD_ID": "1", "CF_REVISION": SHA, "CF_BRANCH": "topic"},
    "Bitrise": {"BITRISE_BUILD_SLUG": "1", "BITRISE_GIT_COMMIT": SHA, "BITRISE_GIT_BRANCH": "topic", "GIT_REPOSITORY_URL": "git@github.com:o/r.git"},
    "Buddy": {"BUDDY": "true", "BUDDY_EXECUTION_REVISION": SHA, "BUDDY_EXECUTION_BRANCH": "topic", "BUDDY_SCM_URL": HTTPS},
    "Jenkins": {"JENKINS_URL": "https://ci.example.com/", "GIT_COMMIT": SHA, "GIT_BRANCH": "origin/topic", "GIT_URL_1": f"{HTTPS}.git"},
    "Vercel": {"VERCEL": "1", "VERCEL_GIT_COMMIT_SHA": SHA, "VERCEL_GIT_COMMIT_REF": "topic", "VERCEL_GIT_PROVIDER": "github"}
    | {"VERCEL_GIT_REPO_OWNER": "o", "VERCEL_GIT_REPO_SLUG": "r"},
    "Netlify": {"NETLIFY": "true", "COMMIT_REF": SHA, "BRANCH": "topic", "REPOSITORY_URL": "https://x-access-token:s3cr3t@github.com/o/r"},
    "Cloudflare Pages": {"CF_PAGES": "1", "CF_PAGES_COMMIT_SHA": SHA, "CF_PAGES_BRANCH": "topic"},
    "Cloudflare Workers": {"WORKERS_CI": "1", "WORKERS_CI_COMMIT_SHA": SHA, "WORKERS_CI_BRANCH": "topic"},
    "Heroku": {"DYNO": "web.1", "HEROKU_SLUG_COMMIT": SHA},
    "Render": {"RENDER": "true", "RENDER_GIT_COMMIT": SHA, "RENDER_GIT_BRANCH": "topic"},
    "Railway": {"RAILWAY_PROJECT_ID": "p", "RAILWAY_GIT_COMMIT_SHA": SHA, "RAILWAY_GIT_BRANCH": "topic", "RAILWAY_GIT_REPO_OWNER": "o"}
    | {"RAILWAY_GIT_REPO_NAME": "r"},
    "OpenShift build": {"OPENSHIFT_BUILD_COMMIT": SHA, "OPENSHIFT_BUILD_REFERENCE": "topic", "OPENSHIFT_BUILD_SOURCE": f"{HTTPS}.git"},
    "variables for Datadog": {"DD_GIT_COMMIT_SHA": SHA, "DD_GIT_BRANCH": "topic", "DD_GIT_REPOSITORY_URL": f"{HTTPS}.git"},
    "variables for other products": {"SENTRY_RELEASE": SHA},
    "build arguments": {"SOURCE_COMMIT": SHA, "GIT_BRANCH": "topic", "GIT_URL": f"{HTTPS}.git"},
}
NO_BRANCH = {"TeamCity", "Heroku", "variables for other products"}
NO_URL = NO_BRANCH | {"Codefresh", "Cloudflare Pages", "Cloudflare Workers", "Render"}


def stamped(environ: dict[str, str]) -> dict[str, str]:
    """What an application outside of any repository would carry."""
    return {key: entry.value.text for key, entry in resolve(Capture(EntryPoint("script", "app.py", None, None), environ).sources(None)).items()}


def test_every_provider_is_tried() -> None:
    assert [provider.name for provider in PROVIDERS] == list(JOBS)


@pytest.mark.parametrize("name", JOBS)
def test_a_provider_names_the_commit_the_branch_and_the_repository_where_it_knows_them(name: str) -> None:
    values = stamped(JOBS[name])
    assert values[COMMIT] == values["vcs.ref.head.revision"] == SHA
    assert values.get(BRANCH) == values.get("vcs.ref.head.name") == (None if name in NO_BRANCH else "topic")
    assert values.get("vcs.repository.url.full") == (None if name in NO_URL else HTTPS)
    assert all(value.origin.startswith(name) for value in from_job(JOBS[name], disk={}).values())
    assert "s3cr3t" not in str(values)


@pytest.mark.parametrize(
    ("name", "variables", "commit", "branch"),
    [
        ("GitLab CI", {"CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": OTHER, "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "theirs"}, OTHER, "theirs"),
        ("Azure Pipelines", {"SYSTEM_PULLREQUEST_SOURCECOMMITID": OTHER, "SYSTEM_PULLREQUEST_SOURCEBRANCH": "refs/heads/x/y"}, OTHER, "x/y"),
        ("Azure Pipelines", {"BUILD_SOURCEBRANCH": "refs/pull/7/merge", "BUILD_SOURCEBRANCHNAME": "merge"}, SHA, None),
        ("Azure Pipelines", {"BUILD_SOURCEBRANCH": "refs/tags/v1"}, SHA, None),
        ("Travis CI", {"TRAVIS_PULL_REQUEST_SHA": OTHER, "TRAVIS_PULL_REQUEST_BRANCH": "theirs"}, OTHER, "theirs"),
        ("Travis CI", {"TRAVIS_TAG": "v1", "TRAVIS_BRANCH": "v1"}, SHA, None),
        ("AppVeyor", {"APPVEYOR_PULL_REQUEST_HEAD_COMMIT": OTHER}, OTHER, "topic"),
        ("Buildkite", {"BUILDKITE_COMMIT": "HEAD"}, None, "topic"),
        ("TeamCity", {"BUILD_VCS_NUMBER": "r17"}, None, None),
        ("Jenkins", {"CHANGE_BRANCH": "theirs"}, SHA, "theirs"),
        ("Jenkins", {"GIT_BRANCH": "origin/feature/x"}, SHA, "feature/x"),
        ("Netlify", {"HEAD": "theirs", "BRANCH": "pull/7/head"}, SHA, "theirs"),
        ("Netlify", {"BRANCH": "pull/7/head"}, SHA, None),
        ("Heroku", {"HEROKU_BUILD_COMMIT": OTHER}, OTHER, None),
        ("variables for other products", {"SENTRY_RELEASE": "shop@1.2.3"}, None, None),
        ("variables for other products", {"SENTRY_RELEASE": "20261122"}, None, None),
        ("GitHub Actions", {"DD_GIT_COMMIT_SHA": OTHER, "DD_GIT_BRANCH": "wrong"}, SHA, "topic"),
        ("GitHub Actions", {"DYNO": "run.1", "HEROKU_BUILD_COMMIT": OTHER}, SHA, "topic"),
        ("Heroku", {"DD_GIT_COMMIT_SHA": SHA, "DD_GIT_BRANCH": "topic"}, SHA, "topic"),
    ],
)
def test_what_a_provider_says_of_special_builds_is_understood(name: str, variables: dict[str, str], commit: str | None, branch: str | None) -> None:
    found = from_job(JOBS[name] | variables, disk={})
    assert [found[key].text if key in found else None for key in (COMMIT, BRANCH)] == [commit, branch]


def test_hosts_are_called_by_their_addresses() -> None:
    urls = [from_job(JOBS["Vercel"] | {"VERCEL_GIT_PROVIDER": host}, disk={}).get(URL) for host in ("gitlab", "bitbucket", "forgejo")]
    assert [url and url.text for url in urls] == ["https://gitlab.com/o/r", "https://bitbucket.org/o/r", None]


def test_a_platforms_environment_is_the_type_of_the_source_if_nobody_says_another() -> None:
    assert stamped({"VERCEL": "1", "VERCEL_ENV": "preview"})["mlflow.source.type"] == "preview"
    assert stamped({"RAILWAY_ENVIRONMENT_NAME": "production"})["mlflow.source.type"] == "production"
    assert stamped({"VERCEL_ENV": "preview", "SPANHOUSE_SOURCE_TYPE": "canary"})["mlflow.source.type"] == "canary"
    assert stamped({"VERCEL_ENV": " "})["mlflow.source.type"] == "LOCAL"
    assert environment.from_platform({}) == {}


SECRETS = st.text("abcdefghijklmnopqrstuvwxyzABCDEF0123456789", min_size=12, max_size=30).map(lambda text: f"s3cr3t{text}")
FORMS = st.sampled_from(
    [
        "https://user:{0}@github.com/o/r.git",
        "https://{0}@github.com/o/r.git",
        "https://oauth2:{0}@gitlab.example.com:8443/o/r",
        "ssh://git:{0}@host/o/r",
        "user:{0}@host:o/r.git",
        "{0}@host:o/r",
        "https://host/o/r?token={0}",
        "https://host/o/r.git?access_token={0}#x",
        "https://host/o/r#{0}",
        "/home/{0}/r",
        "file:///home/{0}/r",
        "C:\\Users\\{0}\\r",
        "../{0}",
        "~/{0}",
        "https://user:pa/{0}@host/o/r",
        "https://user:p@{0}@host/o/r",
        "git+https://{0}@host/o/r",
    ]
)
URL_VARIABLES = sorted({part.partition("}")[0] for provider in PROVIDERS for url in provider.urls for part in url.split("{")[1:]})


@settings(max_examples=400)
@given(form=FORMS, secret=SECRETS, variable=st.sampled_from(URL_VARIABLES), job=st.sampled_from(sorted(JOBS)))
def test_no_credential_in_any_url_of_any_provider_leaves(form: str, secret: str, variable: str, job: str) -> None:
    values = stamped(JOBS[job] | {variable: form.format(secret)})
    assert secret not in str(values)


@settings(max_examples=200)
@given(form=FORMS, secret=SECRETS, name=st.sampled_from(["SPANHOUSE_GIT_REPO_URL", "OTEL_RESOURCE_ATTRIBUTES"]))
def test_no_credential_in_a_url_that_the_user_gives_leaves(form: str, secret: str, name: str) -> None:
    text = form.format(secret)
    values = stamped({name: text if name.startswith("SPANHOUSE") else f"vcs.repository.url.full={text.replace(',', '')}"})
    assert secret not in str(values)
