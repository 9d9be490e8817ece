"""What an application loads with ``import spanhouse.processor``, module by module."""

from __future__ import annotations

import subprocess
import sys

SDK = "import opentelemetry.baggage, opentelemetry.sdk.resources, opentelemetry.sdk.trace.export"
OWN = (
    *("capture", "configuration", "detector", "dirty", "environment", "files", "git", "gitconfig", "index", "model", "objects", "process"),
    *("remotes", "resolve", "source", "span_exporter", "span_processor", "trace_metadata", "values"),
)
ALLOWED = {
    *("spanhouse", "spanhouse.processor", *(f"spanhouse.processor.{name}" for name in OWN)),
    *("spanhouse.schema", "spanhouse.schema.vocabulary"),
    # Reading the objects of a repository.
    "zlib",
}


def loaded(code: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_adds_these_modules_to_the_sdk_and_no_others() -> None:
    assert loaded(f"{SDK}\nimport spanhouse.processor") - loaded(SDK) == ALLOWED
