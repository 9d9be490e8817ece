"""The active model of the process."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from spanhouse.processor.process import this_process
from spanhouse.processor.values import to_text
from spanhouse.schema import vocabulary

_logger = logging.getLogger("spanhouse.processor")


def set_active_model(*, name: str | None = None, model_id: str | None = None, params: Mapping[str, object] | None = None) -> str:
    """Stamp a model on all spans that start from now on, in all threads.

    Args:
        name: name of the application or model; the id is derived from it, the commit and ``params``, so that equal ones meet again.
        model_id: id of a LoggedModel, used as it is.
        params: parameters that make one model another.

    Returns:
        The model's id: ``model_id``, else ``m-`` and 32 hexadecimal digits. Empty if neither a name nor an id was given, which is
        logged and changes nothing.
    """
    try:
        chosen = (to_text(model_id) or "").strip() or _derived_id(name, params)
        if not chosen:
            _logger.warning("set_active_model has no effect: give it a name or a model_id")
            return ""
        this_process().set_model(chosen)
    except Exception:
        _logger.exception("set_active_model failed; the active model stays")
        return ""
    return chosen


def _derived_id(name: str | None, params: Mapping[str, object] | None) -> str:
    import hashlib  # start-up: few applications come here

    text = (to_text(name) or "").strip()
    if not text:
        return ""
    commit = this_process().values().get(vocabulary.GIT_COMMIT.mlflow)
    parts = {"name": text, "commit": commit.value.text if commit else None, "params": dict(sorted((params or {}).items()))}
    return f"m-{hashlib.sha256((to_text(parts) or text).encode()).hexdigest()[:32]}"
