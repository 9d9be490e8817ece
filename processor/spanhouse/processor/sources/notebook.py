"""Detection of a notebook's kernel and of the notebook's file. No server is asked."""

from __future__ import annotations

import os
import sys

_VARIABLES = ("__vsc_ipynb_file__", "IPYNB_FILE", "JPY_SESSION_NAME")


def notebook_path() -> tuple[bool, str | None]:
    """Tell whether a notebook runs, and return its file if VS Code, the user or the Jupyter server names it."""
    ipython = sys.modules.get("IPython")
    get_ipython = getattr(ipython, "get_ipython", None)
    shell = get_ipython() if get_ipython else None
    if shell is None or not (type(shell).__name__ == "ZMQInteractiveShell" or hasattr(shell, "kernel")):
        return False, None
    named = getattr(shell, "user_ns", {}).get("__vsc_ipynb_file__")
    if isinstance(named, str) and named.strip():
        return True, named
    for variable in _VARIABLES:
        value = os.environ.get(variable, "").strip()
        if value:
            return True, value
    return True, None
