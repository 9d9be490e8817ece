"""``python -m spanhouse.processor``: the metadata of an entry point, with the origin of each value."""

from __future__ import annotations

import sys

from spanhouse.processor.report import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
