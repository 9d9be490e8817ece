"""Renders the chart by Helm's own engine and holds the result against Kubernetes' schemas. Runs in an environment of its own.

Reads a JSON list of values from standard input and writes a JSON list of results, see ``tests.support.kubernetes.Rendered``.
"""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-not-found]
import yaml  # type: ignore[import-untyped]
from helm_python.chart import Chart, lint  # type: ignore[import-not-found]
from helm_python.errors import HelmError  # type: ignore[import-not-found]

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "spanhouse"
VERSIONS = ("1.30", "1.34")
"""The oldest Kubernetes that the chart takes, and one of the newest."""

# It reads megabytes for each object, otherwise.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)


def rendered(values: dict[str, Any]) -> dict[str, Any]:
    try:
        texts: dict[str, str] = Chart.load(CHART).render(values, name="spanhouse", namespace="spanhouse", is_install=True)
    except HelmError as error:
        return {"error": str(error), "texts": {}, "documents": [], "problems": []}
    files = {Path(path).name: text.strip() for path, text in texts.items()}
    manifests = {name: text for name, text in files.items() if name != "NOTES.txt" and text}
    documents = [document for text in manifests.values() for document in yaml.safe_load_all(text)]
    return {"error": "", "texts": files, "documents": documents, "problems": [problem for document in documents for problem in problems(document)]}


def problems(document: dict[str, Any]) -> list[str]:
    if document["apiVersion"].startswith("monitoring.coreos.com/"):  # not Kubernetes' own
        return []
    found = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{document['kind']} {document['metadata']['name']}: {version}: {list(error.path)}: {error.message}")
    return found


def main() -> None:
    asked = json.load(sys.stdin)
    if asked == "lint":
        values = yaml.safe_load((CHART.parents[1] / "kubernetes" / "server.values.yaml").read_text())
        json.dump(lint(CHART, values, strict=True, kube_version=f"v{VERSIONS[-1]}.0"), sys.stdout)
        return
    json.dump([rendered(yaml.safe_load(values) if isinstance(values, str) else values) for values in asked], sys.stdout)


if __name__ == "__main__":
    main()
