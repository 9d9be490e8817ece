"""``spanhouse`` with windows of seconds: parts are at hand for some seconds instead of minutes, and a trace without root is quiet after as many.

Usage: TEST_WINDOW_SECONDS=60 python -m tests.faults.short_windows, with the arguments of ``spanhouse``. Never shipped.
"""

from __future__ import annotations

import os
import sys
from functools import partial

from spanhouse.cli.command import main
from spanhouse.schema.settle import remake, settle

WINDOW_SECONDS = int(os.environ.get("TEST_WINDOW_SECONDS", "60"))
QUIET_SECONDS = min(10, WINDOW_SECONDS)

if __name__ == "__main__":
    vars(remake).update(WINDOW_SECONDS=WINDOW_SECONDS)
    vars(settle).update(_COVERED_SECONDS=WINDOW_SECONDS // 2, age=partial(remake.age, quiet_seconds=QUIET_SECONDS))
    sys.exit(main())
