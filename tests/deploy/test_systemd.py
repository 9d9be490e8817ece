"""The systemd units, as systemd itself reads them, and the options file that belongs to them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.serve import Serve

UNITS = Path(__file__).parents[2] / "deploy/systemd"
NAMES = sorted(path.name for path in UNITS.glob("*.service"))


def analyze(*arguments: str) -> str:
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units, with a program that this machine has in the place of ours."""
    for name in NAMES:
        text = (UNITS / name).read_text()
        (tmp_path / name).write_text(text.replace("/opt/spanhouse/bin/spanhouse", shutil.which("true") or "/bin/true"))
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_systemd_has_nothing_to_say_about_a_unit(installed: Path, name: str) -> None:
    assert analyze("verify", "--man=no", str(installed / name)) == ""


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_is_hardly_exposed(name: str) -> None:
    found = re.search(r"Overall exposure level for .*: (\d+\.\d+)", analyze("security", "--offline=true", str(UNITS / name)))
    assert found
    assert float(found[1]) <= 1.5


def test_a_mistake_in_a_unit_is_found(installed: Path) -> None:
    unit = installed / NAMES[0]
    unit.write_text(unit.read_text().replace("ProtectSystem=strict", "ProtectSystm=strict"))
    assert "ProtectSystm" in analyze("verify", "--man=no", str(unit))


def test_serve_runs_with_the_options_file(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"app:{'0' * 64}\n")
    text = (UNITS / "serve.toml").read_text()
    config = tmp_path / "serve.toml"
    config.write_text(re.sub(r":\d{4,5}\"", ':0"', text).replace("/etc/spanhouse/tokens", str(tokens)))
    ports = ["--grpc", "0.0.0.0:0", "--http", "0.0.0.0:0", "--clickhouse-http", "127.0.0.1:0"]
    with Serve(tmp_path / "data", "--config", str(config), *ports) as serve:
        assert serve.grpc.startswith("0.0.0.0:")
        serve.stop()
    assert '"level"' in serve.log.read_text() or serve.log.read_text() == ""
