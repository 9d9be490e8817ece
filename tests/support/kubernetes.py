"""The chart as Helm renders it. ``python -m tests.support.kubernetes`` writes the plain manifests in deploy/kubernetes anew."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.environment import interpreter

DEPLOY = Path(__file__).parents[2] / "deploy"
MANIFESTS = DEPLOY / "kubernetes"
# helm-python-sdk carries Helm's own Go library, 4.2.3, as a shared object.
_REQUIREMENTS = ("helm-python-sdk==0.2.2", "kubernetes-validate==1.34.1")
_ORDER = ("migrate.yaml", "configmap.yaml", "service.yaml", "statefulset.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What the chart makes of some values.

    Attributes:
        error: why Helm refused the values, or ''.
        texts: file of the chart -> its text, blank if it says nothing.
        documents: all objects.
        problems: what Kubernetes' schemas have against them, as of the oldest and one of the newest versions.
    """

    error: str
    texts: Mapping[str, str]
    documents: Sequence[Any]
    problems: Sequence[str]

    def one(self, kind: str, name: str = "spanhouse") -> Any:
        """The object of a kind and name."""
        (found,) = (each for each in self.documents if (each["kind"], each["metadata"]["name"]) == (kind, name))
        return found

    def kinds(self) -> set[str]:
        return {document["kind"] for document in self.documents}

    def manifest(self, values: str) -> str:
        """All objects as one file that ``kubectl apply`` takes."""
        names = sorted(
            (name for name in self.texts if name != "NOTES.txt"),
            key=lambda name: (name not in _ORDER, _ORDER.index(name) if name in _ORDER else 0, name),
        )
        head = f"# Rendered from the chart in deploy/helm with {values} by `make manifests`: change those, not this.\n"
        return head + "".join(f"---\n{self.texts[name]}\n" for name in names if self.texts[name])


def render(*values: Mapping[str, Any] | str) -> list[Rendered]:
    """Render the chart with each of some values, given as an object or as YAML; what they leave out is as in the chart's values.yaml."""
    return [Rendered(**one) for one in _work(list(values))]


def lint() -> Any:
    """What `helm lint --strict` says of the chart."""
    return _work("lint")


def manifests() -> dict[Path, str]:
    """The plain manifests and what they should hold."""
    sources = sorted(MANIFESTS.glob("*.values.yaml"))
    results = render(*(source.read_text() for source in sources))
    return {MANIFESTS / source.name.replace(".values", ""): result.manifest(source.name) for source, result in zip(sources, results, strict=True)}


def _work(asked: object) -> Any:
    worker = Path(__file__).with_name("kubernetes_worker.py")
    done = subprocess.run(
        [interpreter("kubernetes", *_REQUIREMENTS), str(worker)], input=json.dumps(asked), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


if __name__ == "__main__":
    for path, text in manifests().items():
        path.write_text(text)
        print(path)
