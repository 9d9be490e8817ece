"""What a core-only install can do. Run by `make wheel` with the interpreter of an environment that holds the wheel and its dependencies."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path

COMMAND = Path(sysconfig.get_path("scripts")) / "spanhouse"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, timeout=60)


def main() -> None:
    for extra in ("clickhouse_connect", "chdb", "rich", "uvicorn", "numpy"):
        assert importlib.util.find_spec(extra) is None, f"{extra} is installed: this is no core-only environment"

    from spanhouse import processor

    assert "site-packages" in str(processor.__file__), processor.__file__
    heavy = {"grpc", "numpy", "opentelemetry.exporter"} & set(sys.modules)
    assert not heavy, f"importing the processor loads {heavy}"
    resource = processor.MetadataResourceDetector().detect()
    assert resource.attributes, "the detector found nothing, not even the user"

    version = run("--version")
    assert version.returncode == 0, version
    metadata = run("metadata")
    assert metadata.returncode == 0, metadata
    for verb in (["search", "status = 'OK'"], ["serve"], ["sql", "SELECT 1"]):
        missing = run(*verb)
        assert missing.returncode == 2, missing
        assert "pip install" in missing.stderr, missing
        assert len(missing.stderr.splitlines()) == 1, missing
    print(f"core-only install works: {version.stdout.strip()}")


if __name__ == "__main__":
    main()
