"""Whose turn it is on a busy machine: the threads that acknowledge come before those of the engine.

On Linux each thread has a nice value of its own and hands it on to the threads that it starts. So a thread that is made nicer before it opens
the engine, or calls it, makes all of the engine's threads so: inserts, merges and queries then take what acknowledgements leave. The engine's
own settings for that need a capability that servers rarely have; to be nicer needs none.
"""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

_NICER: Final = 10
"""Beside a thread without it, a thread gets a tenth of a core that both want."""
_NICEST: Final = 19


def lower_priority() -> None:
    """Let this thread, and those that it starts from now on, come after the others of the process. Nothing where threads have no nice value."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(_NICEST, os.getpriority(os.PRIO_PROCESS, thread) + _NICER))


def engine_threads(number: int, name: str) -> ThreadPoolExecutor:
    """Threads to call the engine from.

    Args:
        number: how many there are at the most.
        name: what their names begin with.
    """
    return ThreadPoolExecutor(number, thread_name_prefix=name, initializer=lower_priority)
