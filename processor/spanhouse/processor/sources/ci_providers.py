"""Variables of CI systems and platforms that name the version they build or run, as rows of data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


class Provider:
    """A CI system, a platform, or a convention.

    Attributes:
        name: name in the report.
        marker: variable that only this system sets; None for conventions, whose variables mean the same everywhere.
        marker_value: required value of the marker, None for any.
        commit: variables with the commit; the first one that holds an object id counts.
        branch: variables with the branch or a full reference; the first one that is set decides, a reference that is no branch means none.
        tag: variables set when a tag is built, each with the value that means a tag, None for any.
        urls: addresses of the repository, with variables in braces; the first one whose variables are all set counts. A variable whose
            name ends in ``_PROVIDER`` is replaced by the provider's host.
        event: variable with the path of a JSON file that describes the event, in GitHub's form.
    """

    __slots__ = ("branch", "commit", "event", "marker", "marker_value", "name", "tag", "urls")

    def __init__(
        self,
        name: str,
        marker: str | None,
        *,
        commit: tuple[str, ...],
        marker_value: str | None = None,
        branch: tuple[str, ...] = (),
        tag: Mapping[str, str | None] | None = None,
        urls: tuple[str, ...] = (),
        event: str | None = None,
    ) -> None:
        self.name = name
        self.marker = marker
        self.marker_value = marker_value
        self.commit = commit
        self.branch = branch
        self.tag = tag or {}
        self.urls = urls
        self.event = event

    def is_here(self, environ: Mapping[str, str]) -> bool:
        """Tell whether the process runs there."""
        if self.marker is None:
            return True
        value = environ.get(self.marker, "").strip()
        return bool(value) if self.marker_value is None else value.lower() == self.marker_value


# A system that also sets another system's variables comes before that system.
PROVIDERS: Final = (
    Provider(
        "GitHub Actions",
        "GITHUB_ACTIONS",
        commit=("GITHUB_SHA",),
        branch=("GITHUB_HEAD_REF", "GITHUB_REF", "GITHUB_REF_NAME"),
        tag={"GITHUB_REF_TYPE": "tag"},
        urls=("{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}",),
        event="GITHUB_EVENT_PATH",
    ),
    Provider(
        "GitLab CI",
        "GITLAB_CI",
        commit=("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "CI_COMMIT_SHA"),
        branch=("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_BRANCH", "CI_COMMIT_REF_NAME"),
        tag={"CI_COMMIT_TAG": None},
        urls=("{CI_PROJECT_URL}", "{CI_REPOSITORY_URL}"),
    ),
    Provider(
        "CircleCI",
        "CIRCLECI",
        commit=("CIRCLE_SHA1",),
        branch=("CIRCLE_BRANCH",),
        tag={"CIRCLE_TAG": None},
        urls=("{CIRCLE_REPOSITORY_URL}",),
    ),
    Provider(
        "Buildkite",
        "BUILDKITE",
        commit=("BUILDKITE_COMMIT",),
        branch=("BUILDKITE_BRANCH",),
        tag={"BUILDKITE_TAG": None},
        urls=("{BUILDKITE_REPO}",),
    ),
    Provider(
        "Azure Pipelines",
        "TF_BUILD",
        commit=("SYSTEM_PULLREQUEST_SOURCECOMMITID", "BUILD_SOURCEVERSION"),
        branch=("SYSTEM_PULLREQUEST_SOURCEBRANCH", "BUILD_SOURCEBRANCH", "BUILD_SOURCEBRANCHNAME"),
        urls=("{SYSTEM_PULLREQUEST_SOURCEREPOSITORYURI}", "{BUILD_REPOSITORY_URI}"),
    ),
    Provider(
        "Bitbucket Pipelines",
        "BITBUCKET_COMMIT",
        commit=("BITBUCKET_COMMIT",),
        branch=("BITBUCKET_BRANCH",),
        tag={"BITBUCKET_TAG": None},
        urls=("{BITBUCKET_GIT_HTTP_ORIGIN}", "{BITBUCKET_GIT_SSH_ORIGIN}"),
    ),
    Provider(
        "Travis CI",
        "TRAVIS",
        commit=("TRAVIS_PULL_REQUEST_SHA", "TRAVIS_COMMIT"),
        branch=("TRAVIS_PULL_REQUEST_BRANCH", "TRAVIS_BRANCH"),
        tag={"TRAVIS_TAG": None},
        urls=("https://github.com/{TRAVIS_REPO_SLUG}",),
    ),
    Provider(
        "Drone",
        "DRONE",
        commit=("DRONE_COMMIT_SHA",),
        branch=("DRONE_SOURCE_BRANCH", "DRONE_BRANCH", "DRONE_COMMIT_BRANCH"),
        tag={"DRONE_TAG": None},
        urls=("{DRONE_GIT_HTTP_URL}",),
    ),
    Provider(
        "Woodpecker",
        "CI",
        marker_value="woodpecker",
        commit=("CI_COMMIT_SHA",),
        branch=("CI_COMMIT_SOURCE_BRANCH", "CI_COMMIT_BRANCH"),
        tag={"CI_COMMIT_TAG": None},
        urls=("{CI_REPO_URL}",),
    ),
    Provider(
        "AppVeyor",
        "APPVEYOR",
        commit=("APPVEYOR_PULL_REQUEST_HEAD_COMMIT", "APPVEYOR_REPO_COMMIT"),
        branch=("APPVEYOR_PULL_REQUEST_HEAD_REPO_BRANCH", "APPVEYOR_REPO_BRANCH"),
        tag={"APPVEYOR_REPO_TAG_NAME": None},
        urls=("https://{APPVEYOR_REPO_PROVIDER}/{APPVEYOR_REPO_NAME}",),
    ),
    Provider("TeamCity", "TEAMCITY_VERSION", commit=("BUILD_VCS_NUMBER",)),
    Provider(
        "AWS CodeBuild",
        "CODEBUILD_BUILD_ID",
        commit=("CODEBUILD_RESOLVED_SOURCE_VERSION",),
        branch=("CODEBUILD_WEBHOOK_HEAD_REF",),
        urls=("{CODEBUILD_SOURCE_REPO_URL}",),
    ),
    Provider(
        "Semaphore",
        "SEMAPHORE",
        commit=("SEMAPHORE_GIT_PR_SHA", "SEMAPHORE_GIT_SHA"),
        branch=("SEMAPHORE_GIT_PR_BRANCH", "SEMAPHORE_GIT_BRANCH"),
        tag={"SEMAPHORE_GIT_REF_TYPE": "tag"},
        urls=("{SEMAPHORE_GIT_URL}",),
    ),
    Provider(
        "Bamboo",
        "bamboo_planRepository_revision",
        commit=("bamboo_planRepository_revision",),
        branch=("bamboo_planRepository_branchName",),
        urls=("{bamboo_planRepository_repositoryUrl}",),
    ),
    Provider("Codefresh", "CF_BUILD_ID", commit=("CF_REVISION",), branch=("CF_BRANCH",)),
    Provider(
        "Bitrise",
        "BITRISE_BUILD_SLUG",
        commit=("BITRISE_GIT_COMMIT", "GIT_CLONE_COMMIT_HASH"),
        branch=("BITRISE_GIT_BRANCH",),
        tag={"BITRISE_GIT_TAG": None},
        urls=("{GIT_REPOSITORY_URL}",),
    ),
    Provider(
        "Buddy",
        "BUDDY",
        commit=("BUDDY_EXECUTION_REVISION",),
        branch=("BUDDY_EXECUTION_BRANCH",),
        tag={"BUDDY_EXECUTION_TAG": None},
        urls=("{BUDDY_SCM_URL}",),
    ),
    Provider(
        "Jenkins",
        "JENKINS_URL",
        commit=("GIT_COMMIT",),
        branch=("CHANGE_BRANCH", "BRANCH_NAME", "GIT_BRANCH"),
        tag={"TAG_NAME": None},
        urls=("{GIT_URL}", "{GIT_URL_1}"),
    ),
    Provider(
        "Vercel",
        "VERCEL",
        commit=("VERCEL_GIT_COMMIT_SHA",),
        branch=("VERCEL_GIT_COMMIT_REF",),
        urls=("https://{VERCEL_GIT_PROVIDER}/{VERCEL_GIT_REPO_OWNER}/{VERCEL_GIT_REPO_SLUG}",),
    ),
    Provider("Netlify", "NETLIFY", commit=("COMMIT_REF",), branch=("HEAD", "BRANCH"), urls=("{REPOSITORY_URL}",)),
    Provider("Cloudflare Pages", "CF_PAGES", commit=("CF_PAGES_COMMIT_SHA",), branch=("CF_PAGES_BRANCH",)),
    Provider("Cloudflare Workers", "WORKERS_CI", commit=("WORKERS_CI_COMMIT_SHA",), branch=("WORKERS_CI_BRANCH",)),
    Provider("Heroku", "DYNO", commit=("HEROKU_BUILD_COMMIT", "HEROKU_SLUG_COMMIT", "SOURCE_VERSION")),
    # RENDER_GIT_REPO_SLUG does not name the host.
    Provider("Render", "RENDER", commit=("RENDER_GIT_COMMIT",), branch=("RENDER_GIT_BRANCH",)),
    Provider(
        "Railway",
        "RAILWAY_PROJECT_ID",
        commit=("RAILWAY_GIT_COMMIT_SHA",),
        branch=("RAILWAY_GIT_BRANCH",),
        urls=("https://github.com/{RAILWAY_GIT_REPO_OWNER}/{RAILWAY_GIT_REPO_NAME}",),
    ),
    Provider(
        "OpenShift build",
        "OPENSHIFT_BUILD_COMMIT",
        commit=("OPENSHIFT_BUILD_COMMIT",),
        branch=("OPENSHIFT_BUILD_REFERENCE",),
        urls=("{OPENSHIFT_BUILD_SOURCE}",),
    ),
    Provider(
        "variables for Datadog",
        None,
        commit=("DD_GIT_COMMIT_SHA",),
        branch=("DD_GIT_BRANCH",),
        tag={"DD_GIT_TAG": None},
        urls=("{DD_GIT_REPOSITORY_URL}",),
    ),
    Provider(
        "variables for other products",
        None,
        commit=("SENTRY_RELEASE", "LANGFUSE_RELEASE", "LANGCHAIN_REVISION_ID", "LOGFIRE_SERVICE_VERSION"),
    ),
    Provider(
        "build arguments",
        None,
        commit=("GIT_SHA", "GIT_COMMIT", "GIT_COMMIT_SHA", "COMMIT_SHA", "SOURCE_COMMIT", "REVISION"),
        branch=("GIT_BRANCH",),
        urls=("{GIT_URL}",),
    ),
)
"""All known providers. Google's and Kubernetes' own variables name no commit."""
