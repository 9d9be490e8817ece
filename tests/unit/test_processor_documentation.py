"""docs/stamping.md names everything that the code knows."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import spanhouse.processor
from spanhouse.processor import update_current_trace
from spanhouse.processor.sources.ci_providers import PROVIDERS, Provider
from spanhouse.schema import vocabulary

PAGE = (Path(__file__).parents[2] / "docs" / "stamping.md").read_text(encoding="utf-8")
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in Path(spanhouse.processor.__file__ or "").parent.rglob("*.py"))


def test_every_variable_of_ours_is_documented_and_no_other() -> None:
    assert set(re.findall(r"SPANHOUSE_[A-Z_]+\b", PAGE)) == set(vocabulary.PROCESSOR_VARIABLES)


def test_the_processor_reads_no_variable_of_ours_but_those_of_the_vocabulary() -> None:
    assert re.findall(r'"SPANHOUSE_[A-Z_]+"', SOURCES) == []


@pytest.mark.parametrize("provider", PROVIDERS, ids=[provider.name for provider in PROVIDERS])
def test_every_variable_of_a_provider_stands_in_its_row(provider: Provider) -> None:
    (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| {provider.name} |"))
    named = {*provider.commit, *provider.branch, *provider.tag, provider.marker, provider.event} - {None}
    named |= {part.partition("}")[0] for url in provider.urls for part in url.split("{")[1:]}
    assert named <= set(re.findall(r"\w+", row))


def test_every_key_and_every_parameter_is_documented() -> None:
    for key in vocabulary.PROCESS_KEYS:
        assert f"`{key.mlflow}`" in PAGE or key is vocabulary.APP_VERSION
        assert key.otel is None or f"`{key.otel}`" in PAGE
    for name in inspect.signature(update_current_trace).parameters:
        assert f"{name}=" in PAGE
