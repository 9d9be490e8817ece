"""Entry point of ``python -m spanhouse.cli``."""

import sys

from spanhouse.cli.command import main

sys.exit(main())
