"""Active model of the process."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping

from spanhouse.processor.metadata_values import to_text
from spanhouse.processor.process import this_process
from spanhouse.processor.sources.environment import from_mlflow
from spanhouse.schema import vocabulary

_PARAMETER_PREFIX = "mlflow.model.params."
_PARAMETERS_KEPT = 32
_CHARACTERS = 250
_SECRETS = ("key", "secret", "token", "password", "pwd", "credential", "email")
_COUNTS = "tokens"

_logger = logging.getLogger("spanhouse.processor")


def set_active_model(*, name: str | None = None, model_id: str | None = None, params: Mapping[str, object] | None = None) -> str:
    """Stamp a model on all spans that start from now on, in all threads.

    The id is ``model_id``; else the id that ``mlflow.set_active_model`` set, if the application uses MLflow (looked up in memory: MLflow is
    neither imported nor asked over the network); else a digest of ``name``, the commit and ``params``, so that equal models have equal ids.
    Name and parameters are sent too, as ``mlflow.model.name`` and ``mlflow.model.params.<k>``: 32 parameters, each value cut to 250
    characters. Parameters whose names look like secrets (key, secret, token, password, pwd, credential, email) are neither sent nor
    hashed; ``max_tokens`` and similar names stay if the value is a number.

    Args:
        name: name of the application or model.
        model_id: id of a LoggedModel, used as it is.
        params: parameters that identify the model.

    Returns:
        The model's id; a derived one is ``m-`` and 32 hexadecimal digits. Without a name and an id: empty, nothing changes, and a warning
        is logged.
    """
    try:
        label = (to_text(name) or "").strip()
        told = _without_secrets(params or {})
        chosen = (to_text(model_id) or "").strip() or (label and (_id_in_mlflow() or _derived_id(label, told)))
        if not chosen:
            _logger.warning("set_active_model has no effect: give it a name or a model_id")
            return ""
        attributes = {vocabulary.MODEL_ID.mlflow: chosen}
        if label:
            attributes[vocabulary.MODEL_NAME] = label[:_CHARACTERS]
        attributes |= {f"{_PARAMETER_PREFIX}{key}": text[:_CHARACTERS] for key, text in list(told.items())[:_PARAMETERS_KEPT]}
        this_process().set_model(attributes)
    except Exception:
        _logger.exception("set_active_model failed; the active model stays")
        return ""
    return chosen


def _without_secrets(params: Mapping[str, object]) -> dict[str, str]:
    told: dict[str, str] = {}
    for key, value in params.items():
        name, text = to_text(key), to_text(value)
        if name and text is not None and len(name) <= _CHARACTERS and not _is_secret(name.lower(), value):
            told[name] = text
    return told


def _is_secret(name: str, value: object) -> bool:
    if isinstance(value, int | float):
        # A number of tokens is no secret.
        name = name.replace(_COUNTS, "")
    return any(word in name for word in _SECRETS)


def _id_in_mlflow() -> str | None:
    """Return the id of MLflow's active model if code set it; an id from MLflow's environment variable is stamped by another source."""
    ask = getattr(sys.modules.get("mlflow"), "get_active_model_id", None)
    active = ask() if callable(ask) else None
    named = from_mlflow(os.environ).get(vocabulary.MODEL_ID.mlflow)
    return active if isinstance(active, str) and active and not (named and named.text == active) else None


def _derived_id(name: str, params: Mapping[str, str]) -> str:
    import hashlib  # start-up: few applications derive an id

    commit = this_process().values().get(vocabulary.GIT_COMMIT.mlflow)
    parts = {"name": name, "commit": commit.value.text if commit else None, "params": dict(sorted(params.items()))}
    return f"m-{hashlib.sha256((to_text(parts) or name).encode()).hexdigest()[:32]}"
