"""``python -m spanhouse.processor``: what is stamped for an entry point, and where each value comes from."""

from __future__ import annotations

import sys

from spanhouse.processor.report import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
