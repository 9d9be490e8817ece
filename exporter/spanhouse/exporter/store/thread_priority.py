"""Thread priority: on a busy machine the threads that acknowledge run before those of the engine.

On Linux each thread has a nice value of its own, which the threads that it starts inherit. So a thread that gets nicer before it opens or
calls the engine makes all of the engine's threads nicer: inserts, merges and queries get the CPU that acknowledgements leave. The engine's own
settings for that need a capability that servers rarely have; getting nicer needs none.
"""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

_NICER: Final = 10
"""Nice value added. Beside a thread without it, such a thread gets a tenth of a core that both want."""
_NICEST: Final = 19


def lower_priority() -> None:
    """Lower the priority of this thread and of those that it starts from now on. Do nothing where threads have no nice value."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(_NICEST, os.getpriority(os.PRIO_PROCESS, thread) + _NICER))


def engine_threads(number: int, name: str) -> ThreadPoolExecutor:
    """Make a pool of low-priority threads that call the engine.

    Args:
        number: most threads.
        name: prefix of their names.
    """
    return ThreadPoolExecutor(number, thread_name_prefix=name, initializer=lower_priority)
