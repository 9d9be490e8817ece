"""Table of all verbs: their words, their options, the module that runs each and the extra that it needs."""

from __future__ import annotations

from typing import Final

from spanhouse.cli.option import Option
from spanhouse.cli.verb_table.comparing import BISECT, COMPARE
from spanhouse.cli.verb_table.prices import PRICES_ACTIONS, PRICES_GROUP
from spanhouse.cli.verb_table.reading import DIFF, EXPLAIN, KEYS, SEARCH, SQL, TRACE, VALUES
from spanhouse.cli.verb_table.serve import SERVE
from spanhouse.cli.verb_table.store import MIGRATE, STORE_ACTIONS, STORE_GROUP
from spanhouse.cli.verb_table.tools import COMPLETION, DEMO, DOCTOR, METADATA

VERBS: Final = (
    SERVE,
    DEMO,
    SEARCH,
    TRACE,
    COMPARE,
    BISECT,
    DIFF,
    KEYS,
    VALUES,
    SQL,
    EXPLAIN,
    MIGRATE,
    *STORE_ACTIONS,
    *PRICES_ACTIONS,
    METADATA,
    COMPLETION,
    DOCTOR,
)
"""All verbs and actions, in the order in which help lists them."""
GROUPS: Final = (STORE_GROUP, PRICES_GROUP)


def all_options() -> tuple[Option, ...]:
    """Return one option of each name: the keys that the TOML file may hold, and the environment variables that set something."""
    return tuple({option.name: option for verb in VERBS for option in verb.options}.values())
