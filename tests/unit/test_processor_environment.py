"""What environment variables and CI systems say."""

from __future__ import annotations

import json
import logging
import os
import pwd
from pathlib import Path

import pytest

from spanhouse.processor.metadata_values import Found, Value
from spanhouse.processor.sources import environment
from spanhouse.processor.sources.ci import from_job
from spanhouse.processor.sources.stamp import read_stamp

COMMIT, BRANCH, URL = "mlflow.source.git.commit", "mlflow.source.git.branch", "mlflow.source.git.repoURL"
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SHA": "a" * 40,
    "GITHUB_REF": "refs/heads/feature/x",
    "GITHUB_REF_NAME": "feature/x",
    "GITHUB_REF_TYPE": "branch",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "o/r",
}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_COMMIT_SHA": "b" * 40,
    "CI_COMMIT_REF_NAME": "topic",
    "CI_COMMIT_BRANCH": "topic",
    "CI_PROJECT_URL": "https://gitlab.com/g/r",
}


def plain(found: Found) -> dict[str, str]:
    return {key: value.text for key, value in found.items()}


def test_otels_variable_is_read_as_the_sdk_reads_it_and_blank_values_count_as_unset() -> None:
    environ = {"OTEL_RESOURCE_ATTRIBUTES": "a=1, b = x%2Cy ,c=,d,e= ,a=2,f=g=h", "OTEL_SERVICE_NAME": "shop"}
    assert plain(environment.from_otel(environ)) == {"a": "2", "b": "x,y", "f": "g=h", "service.name": "shop"}
    assert environment.from_otel({}) == {}


def test_our_own_variables_win_over_the_json_object_of_metadata() -> None:
    environ = {
        "SPANHOUSE_SOURCE_NAME": "worker",
        "SPANHOUSE_SOURCE_TYPE": "staging",
        "SPANHOUSE_GIT_COMMIT": "c",
        "SPANHOUSE_GIT_BRANCH": " ",
        "SPANHOUSE_GIT_REPO_URL": "https://example.com/r",
        "SPANHOUSE_METADATA": '{"team": "search", "replicas": 3, "mlflow.source.type": "x", "mlflow.source.git.branch": "main", "none": null}',
    }
    found = environment.from_own(environ)
    assert plain(found) == {
        "mlflow.source.name": "worker",
        "mlflow.source.type": "staging",
        COMMIT: "c",
        BRANCH: "main",
        URL: "https://example.com/r",
        "team": "search",
        "replicas": "3",
    }
    assert found["mlflow.source.type"].origin == "SPANHOUSE_SOURCE_TYPE"


@pytest.mark.parametrize("text", ["{", "[1]", '"x"'])
def test_metadata_that_is_no_object_is_left_out_with_one_line(text: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert environment.from_own({"SPANHOUSE_METADATA": text}) == {}
    assert [record.message.startswith("SPANHOUSE_METADATA is left out") for record in caplog.records] == [True]


def test_the_model_comes_from_mlflows_variable_and_else_from_its_old_one() -> None:
    assert plain(environment.from_mlflow({"MLFLOW_ACTIVE_MODEL_ID": "m-1", "_MLFLOW_ACTIVE_MODEL_ID": "m-2"})) == {"mlflow.modelId": "m-1"}
    assert plain(environment.from_mlflow({"MLFLOW_ACTIVE_MODEL_ID": "", "_MLFLOW_ACTIVE_MODEL_ID": "m-2"})) == {"mlflow.modelId": "m-2"}
    assert environment.from_mlflow({}) == {}


def test_the_user_can_be_named_and_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plain(environment.user({"USER": "ada"})) == {"mlflow.user": "ada"}
    assert plain(environment.user({})) == {"mlflow.user": pwd.getpwuid(os.getuid()).pw_name}
    assert environment.user({"USER": "ada", "SPANHOUSE_USER": "off"}) == {}
    assert environment.from_own({"SPANHOUSE_USER": "off"}) == {}
    assert plain(environment.from_own({"SPANHOUSE_USER": "grace"})) == {"mlflow.user": "grace"}

    def nameless(_: int) -> None:
        raise KeyError("no such user")

    monkeypatch.setattr(pwd, "getpwuid", nameless)
    assert environment.user({}) == {}


def test_github_names_commit_branch_and_repository() -> None:
    assert plain(from_job(GITHUB, disk={})) == {COMMIT: "a" * 40, BRANCH: "feature/x", URL: "https://github.com/o/r"}


def test_a_github_pull_request_has_its_own_head_and_branch(tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"head": {"sha": "c" * 40}}}))
    environ = GITHUB | {"GITHUB_HEAD_REF": "topic", "GITHUB_REF": "refs/pull/7/merge", "GITHUB_REF_NAME": "7/merge", "GITHUB_EVENT_PATH": str(event)}
    found = plain(from_job(environ, disk={}))
    assert (found[COMMIT], found[BRANCH]) == ("c" * 40, "topic")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pull_request": null}', '{"pull_request": {"head": {"sha": 1}}}'])
def test_an_event_without_a_pull_request_leaves_the_commit_of_the_variable(tmp_path: Path, content: str) -> None:
    event = tmp_path / "event.json"
    event.write_text(content)
    assert plain(from_job(GITHUB | {"GITHUB_EVENT_PATH": str(event)}, disk={}))[COMMIT] == "a" * 40
    assert plain(from_job(GITHUB | {"GITHUB_EVENT_PATH": str(tmp_path / "none")}, disk={}))[COMMIT] == "a" * 40


@pytest.mark.parametrize(
    "environ",
    [
        GITHUB | {"GITHUB_REF": "refs/tags/v1", "GITHUB_REF_NAME": "v1", "GITHUB_REF_TYPE": "tag"},
        GITHUB | {"GITHUB_REF": "refs/pull/7/merge", "GITHUB_REF_NAME": "7/merge"},
        GITLAB | {"CI_COMMIT_BRANCH": "", "CI_COMMIT_REF_NAME": "v1", "CI_COMMIT_TAG": "v1"},
    ],
)
def test_what_is_no_branch_is_not_taken_for_one(environ: dict[str, str]) -> None:
    assert BRANCH not in from_job(environ, disk={})


def test_gitlab_names_commit_branch_and_repository_and_the_source_of_a_merge_request() -> None:
    assert plain(from_job(GITLAB, disk={})) == {COMMIT: "b" * 40, BRANCH: "topic", URL: "https://gitlab.com/g/r"}
    merge = GITLAB | {"CI_COMMIT_BRANCH": "", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "theirs", "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": "d" * 40}
    found = plain(from_job(merge, disk={}))
    assert (found[COMMIT], found[BRANCH]) == ("d" * 40, "theirs")


def test_outside_of_a_job_the_variables_mean_nothing() -> None:
    assert from_job({key: value for key, value in GITHUB.items() if key != "GITHUB_ACTIONS"}, disk={}) == {}


def test_a_checkout_of_another_project_takes_nothing_from_the_job() -> None:
    other = {COMMIT: Value("f" * 40, "disk"), URL: Value("https://github.com/other/r.git", "disk")}
    assert from_job(GITHUB, disk=other) == {}
    assert from_job(GITHUB, disk=other | {URL: Value("git@github.com:o/r.git", "disk")}) != {}
    assert from_job(GITHUB, disk=other | {COMMIT: Value("a" * 40, "disk")}) != {}
    assert from_job(GITHUB, disk={COMMIT: other[COMMIT]}) != {}


def test_the_nearest_stamp_file_above_counts_and_the_named_one_before_it(tmp_path: Path) -> None:
    inner = tmp_path / "app" / "src"
    inner.mkdir(parents=True)
    assert environment.stamp_file({}, str(inner)) is None
    assert environment.stamp_file({}, None) is None
    (tmp_path / "spanhouse-stamp.json").touch()
    (tmp_path / "app" / "spanhouse-stamp.json").touch()
    assert environment.stamp_file({}, str(inner)) == str(tmp_path / "app" / "spanhouse-stamp.json")
    assert environment.stamp_file({"SPANHOUSE_STAMP_FILE": "named.json"}, str(inner)) == "named.json"


def test_a_stamp_file_is_a_json_object(tmp_path: Path) -> None:
    file = tmp_path / "spanhouse-stamp.json"
    file.write_text('{"mlflow.source.git.commit": "c", "blank": "", "number": 1}')
    assert plain(read_stamp(str(file), is_named=False)) == {COMMIT: "c", "number": "1"}


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\xfe\x00", b"{", None])
def test_a_damaged_stamp_file_is_left_out_and_one_that_was_named_is_worth_a_warning(
    tmp_path: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "spanhouse-stamp.json"
    if content is not None:
        file.write_bytes(content)
    assert read_stamp(str(file), is_named=False) == {}
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert read_stamp(str(file), is_named=True) == {}
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
