"""Platforms that start the application by themselves and name it in variables: AWS Lambda, Databricks."""

# pathlib is left out: loading and using it would take its share of every application's start.
# ruff: noqa: PTH109

from __future__ import annotations

import os
from collections.abc import Mapping

from spanhouse.processor.source import EntryPoint, code_directory, locate_module


def entry_point_of_host(environ: Mapping[str, str]) -> EntryPoint | None:
    """The entry point as the platform names it; None where it names none.

    For Lambda the handler, as it is configured. For Databricks a job as ``jobs/<id>/run/<id>``, else the notebook's path, from variables
    that a job's or a cluster's settings hand on (``DATABRICKS_JOB_ID`` and ``DATABRICKS_JOB_RUN_ID`` or ``DATABRICKS_RUN_ID``,
    ``DATABRICKS_NOTEBOOK_PATH``).
    """

    def value(variable: str) -> str:
        return environ.get(variable, "").strip()

    if value("AWS_LAMBDA_FUNCTION_NAME"):
        handler, root = value("_HANDLER"), value("LAMBDA_TASK_ROOT") or None
        module = handler.replace("/", ".").rpartition(".")[0]
        path = locate_module(module, root) if module else None
        return EntryPoint("app", handler or value("AWS_LAMBDA_FUNCTION_NAME"), path, code_directory(path) or root)
    if value("DATABRICKS_RUNTIME_VERSION"):
        job, run = value("DATABRICKS_JOB_ID"), value("DATABRICKS_JOB_RUN_ID") or value("DATABRICKS_RUN_ID")
        if job and run:
            return EntryPoint("job", f"jobs/{job}/run/{run}", None, os.getcwd())
        if value("DATABRICKS_NOTEBOOK_PATH"):
            # A path of the workspace, not of this machine's disk.
            return EntryPoint("notebook", value("DATABRICKS_NOTEBOOK_PATH"), None, os.getcwd())
    return None
