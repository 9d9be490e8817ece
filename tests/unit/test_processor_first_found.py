"""One value per key, by rank."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from spanhouse.processor.metadata_values import Value, given
from spanhouse.processor.sources.first_found import resolve, texts

COMMIT, OTEL_COMMIT = "mlflow.source.git.commit", "vcs.ref.head.revision"
BRANCH, OTEL_BRANCH, REF_TYPE = "mlflow.source.git.branch", "vcs.ref.head.name", "vcs.ref.head.type"
URL, OTEL_URL = "mlflow.source.git.repoURL", "vcs.repository.url.full"
DIRTY, TYPE = "mlflow.source.git.dirty", "mlflow.source.type"


def amount_to(*sources: Mapping[str, object]) -> dict[str, str]:
    return texts(resolve([given(source, f"source {number}") for number, source in enumerate(sources)]))


def test_the_higher_source_wins_and_the_others_are_remembered_in_order() -> None:
    resolved = resolve([given({COMMIT: "a"}, "first"), given({OTEL_COMMIT: "b"}, "second"), given({COMMIT: "c"}, "third")])[COMMIT]
    assert resolved.value == Value("a", "first")
    assert resolved.outranked == (Value("b", "second"), Value("c", "third"))


@pytest.mark.parametrize("name", [COMMIT, OTEL_COMMIT, "vcs.repository.ref.revision"])
def test_a_key_under_any_of_its_names_sets_both(name: str) -> None:
    found = amount_to({name: "a"}, {COMMIT: "b", OTEL_COMMIT: "b"})
    assert (found[COMMIT], found[OTEL_COMMIT]) == ("a", "a")


def test_a_source_that_sets_both_names_keeps_both_values() -> None:
    found = amount_to({COMMIT: "a", OTEL_COMMIT: "b"})
    assert (found[COMMIT], found[OTEL_COMMIT]) == ("a", "b")


def test_blank_values_leave_the_place_to_the_next_source() -> None:
    assert amount_to({COMMIT: " "}, {OTEL_COMMIT: "b"})[COMMIT] == "b"


def test_a_branch_says_that_it_is_one() -> None:
    assert amount_to({BRANCH: "main"}) == {BRANCH: "main", OTEL_BRANCH: "main", REF_TYPE: "branch"}


def test_the_name_of_a_tag_is_no_branch_and_stays() -> None:
    tag = {OTEL_BRANCH: "v1", REF_TYPE: "tag"}
    assert amount_to(tag) == tag
    assert amount_to(tag, {BRANCH: "main"}) == tag | {BRANCH: "main"}


def test_urls_are_scrubbed_wherever_they_come_from_and_opened_by_browsers_under_otels_name() -> None:
    found = amount_to({URL: "https://token@github.com/o/r.git"})
    assert found == {URL: "https://github.com/o/r.git", OTEL_URL: "https://github.com/o/r"}
    assert amount_to({URL: "/srv/r.git"}, {URL: "git@github.com:o/r.git"})[URL] == "git@github.com:o/r.git"
    assert URL not in amount_to({URL: "/srv/r.git"})


@pytest.mark.parametrize("name", ["deployment.environment.name", "deployment.environment"])
def test_an_environment_becomes_the_type_of_the_source_at_its_own_rank(name: str) -> None:
    assert amount_to({name: "production"}, {TYPE: "staging"})[TYPE] == "production"
    assert amount_to({TYPE: "staging"}, {name: "production"})[TYPE] == "staging"
    assert amount_to({TYPE: "staging", name: "production"})[TYPE] == "staging"
    assert amount_to({name: "production"})[name] == "production"


def test_whether_files_are_changed_is_told_only_of_the_commit_that_is_stamped() -> None:
    assert amount_to({COMMIT: "a", DIRTY: "false"})[DIRTY] == "false"
    assert DIRTY not in amount_to({COMMIT: "b"}, {COMMIT: "a", DIRTY: "false"})
    assert amount_to({COMMIT: "a"}, {COMMIT: "a", DIRTY: "true"})[DIRTY] == "true"
    assert amount_to({DIRTY: "true"}, {COMMIT: "a", DIRTY: "false"})[DIRTY] == "true"


def test_other_keys_come_through() -> None:
    assert amount_to({"team": "a"}, {"team": "b", "app_version": 2}) == {"team": "a", "app_version": "2"}
