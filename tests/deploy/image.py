"""What deploy/Dockerfile does, without a container engine: ``python -m tests.deploy.image``.

Its build context is made as .dockerignore says, the build stage's commands run in it, and what they installed is started with the image's
variables and nothing else in the environment, checked by the image's own health check and stopped as a container is. Paths of the image
become paths below a temporary directory, and the image's Python is the one that runs this.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
INSTALLED = "/opt/spanhouse"
DATA = "/var/lib/spanhouse"


@dataclass
class Stage:
    """What is done in one stage of a Dockerfile, in its order."""

    runs: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    health: list[str] = field(default_factory=list)
    start: list[str] = field(default_factory=list)


def stages(text: str) -> list[Stage]:
    """The stages of a Dockerfile that keeps to what ours uses."""
    found: list[Stage] = []
    for line in re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines():
        word, _, rest = line.partition(" ")
        match word:
            case "FROM":
                found.append(Stage())
            case "RUN":
                found[-1].runs.append(rest)
            case "ENV":
                found[-1].environment |= dict(part.split("=", 1) for part in shlex.split(rest))
            case "HEALTHCHECK":
                found[-1].health = json.loads(rest[rest.index("[") :])
            case "ENTRYPOINT" | "CMD":
                found[-1].start += json.loads(rest)
            case "ARG" | "WORKDIR" | "COPY" | "USER" | "VOLUME" | "EXPOSE" | "":
                pass
            case _:
                raise ValueError(f"an instruction that is not known here: {line}")
    return found


def context(directory: Path) -> None:
    """Copy the files that are under version control and that .dockerignore lets in."""
    rules = [rule for rule in (ROOT / ".dockerignore").read_text().splitlines() if rule and not rule.startswith("#")]
    kept = [rule[1:] for rule in rules if rule.startswith("!")]
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in files:
        if any(fnmatch.fnmatch(name, rule) or name.startswith(f"{rule}/") for rule in kept):
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, directory / name)


def main() -> None:
    """Build, start, check, stop; then say how large it is."""
    build, image = stages((ROOT / "deploy/Dockerfile").read_text())
    with tempfile.TemporaryDirectory() as temporary:
        source, installed, data = (Path(temporary) / name for name in ("src", "opt", "data"))
        source.mkdir()
        data.mkdir()
        context(source)
        for written in build.runs:
            command = re.sub(r"\bpython -m", f"{sys.executable} -m", written.replace(INSTALLED, str(installed)), count=1)
            print(f"+ {command}", flush=True)
            subprocess.run(["sh", "-ec", command], cwd=source, check=True)
        environment = {
            name: value.replace(INSTALLED, str(installed)).replace(DATA, str(data)).replace("${PATH}", os.defpath)
            for name, value in image.environment.items()
        }
        assert not list(installed.glob("lib/*/site-packages/pip")), "pip is in the image"
        check_runs(image, environment, data)
        size = sum(path.lstat().st_size for path in installed.rglob("*") if path.is_file())
        largest = sorted(
            ((sum(f.lstat().st_size for f in path.rglob("*")), path.name) for path in installed.glob("lib/*/site-packages/*")), reverse=True
        )
        print(f"{size / 2**20:.0f} MiB installed; " + ", ".join(f"{name} {part / 2**20:.0f}" for part, name in largest[:5]))


def check_runs(image: Stage, environment: dict[str, str], data: Path) -> None:
    """Start the image's command on its usual ports, ask for its health, and stop it."""
    started = shutil.which(image.start[0], path=environment["PATH"])
    assert started, f"{image.start[0]} is not installed"
    process = subprocess.Popen([started, *image.start[1:]], cwd=data, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        print(ready.strip())
        assert ready.startswith("spanhouse ready"), ready
        subprocess.run(image.health, env=environment, check=True, timeout=10)
    finally:
        process.terminate()
        code = process.wait(timeout=30)
    assert code == 0, f"it ended with {code}"


if __name__ == "__main__":
    main()
