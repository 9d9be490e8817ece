"""Platforms that start the application by themselves and name it in variables: AWS Lambda, Databricks."""

from __future__ import annotations

from collections.abc import Mapping

from spanhouse.processor.launchers import Launched


def app_of_host(environ: Mapping[str, str]) -> Launched | None:
    """The application as the platform names it; None where it names none.

    For Lambda the handler, as it is configured. For Databricks a job as ``jobs/<id>/run/<id>``, else the notebook's path, from variables
    that a job's or a cluster's settings hand on (``DATABRICKS_JOB_ID`` and ``DATABRICKS_JOB_RUN_ID`` or ``DATABRICKS_RUN_ID``,
    ``DATABRICKS_NOTEBOOK_PATH``).
    """

    def value(variable: str) -> str:
        return environ.get(variable, "").strip()

    if value("AWS_LAMBDA_FUNCTION_NAME"):
        handler = value("_HANDLER")
        module = handler.replace("/", ".").rpartition(".")[0] or None
        return Launched("app", handler or value("AWS_LAMBDA_FUNCTION_NAME"), module=module, directory=value("LAMBDA_TASK_ROOT") or None)
    if value("DATABRICKS_RUNTIME_VERSION"):
        job, run = value("DATABRICKS_JOB_ID"), value("DATABRICKS_JOB_RUN_ID") or value("DATABRICKS_RUN_ID")
        if job and run:
            return Launched("job", f"jobs/{job}/run/{run}")
        if value("DATABRICKS_NOTEBOOK_PATH"):
            # A path of the workspace, not of this machine's disk: it is not looked for.
            return Launched("notebook", value("DATABRICKS_NOTEBOOK_PATH"))
    return None
