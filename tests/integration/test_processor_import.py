"""What an application loads with each way in, module by module."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import spanhouse.processor

SDK = "import opentelemetry.baggage, opentelemetry.sdk.resources, opentelemetry.sdk.trace.export"
ALWAYS = (
    *("git", "git.config", "git.remotes", "git.repository"),
    *("process", "safe_read", "values"),
    *("sources", "sources.capture", "sources.entry_point", "sources.environment", "sources.first_found"),
)
EVERYWHERE = {
    *("spanhouse", "spanhouse.processor", "spanhouse.schema", "spanhouse.schema.vocabulary"),
    *(f"spanhouse.processor.{name}" for name in ALWAYS),
}
WAYS_IN = {
    "configure": {"configuration", "span_processor"},
    "MetadataResourceDetector": {"detector"},
    "MetadataSpanExporter": {"span_exporter"},
    "MetadataSpanProcessor": {"span_processor"},
    "set_active_model": {"active_model"},
    "trace_context": {"span_processor", "trace_metadata"},
    "update_current_trace": {"span_processor", "trace_metadata"},
}


def loaded(code: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_ways_in_are_all_that_is_public() -> None:
    assert set(spanhouse.processor.__all__) == set(WAYS_IN)


@pytest.mark.parametrize(("name", "modules"), WAYS_IN.items())
def test_importing_a_way_in_adds_these_modules_to_the_sdk_and_no_others(name: str, modules: set[str]) -> None:
    added = loaded(f"{SDK}\nfrom spanhouse.processor import {name}") - loaded(SDK)
    assert added == EVERYWHERE | {f"spanhouse.processor.{module}" for module in modules}


def test_a_name_that_is_not_public_is_missing_as_from_any_module() -> None:
    with pytest.raises(AttributeError, match=r"module 'spanhouse\.processor' has no attribute 'nothing'"):
        _ = spanhouse.processor.nothing
    with pytest.raises(ImportError):
        importlib.import_module("spanhouse.processor.nothing")
