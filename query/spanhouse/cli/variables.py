"""Environment variables of this project, and the refusal of one that nothing here reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from spanhouse.cli.errors import CommandError
from spanhouse.cli.option import VARIABLE_PREFIX, Option
from spanhouse.cli.text import nearest
from spanhouse.schema.address.dsn import DATA_DIR_VARIABLE
from spanhouse.schema.vocabulary import PROCESSOR_VARIABLES

DEPLOYMENT_VARIABLES: Final = (
    "SPANHOUSE_ENDPOINT",
    "SPANHOUSE_TOKEN",
    "SPANHOUSE_SHARD",
    "SPANHOUSE_REPLICA",
    "SPANHOUSE_KEEPER_ID",
    "SPANHOUSE_INTERSERVER_SECRET",
    "SPANHOUSE_INTERSERVER_PASSWORD",
    "SPANHOUSE_MIGRATE_PASSWORD_SHA256",
    "SPANHOUSE_INGEST_PASSWORD_SHA256",
    "SPANHOUSE_READ_PASSWORD_SHA256",
)
"""Variables that files of deploy/ read: those of Collectors and of ClickHouse servers, which may share a machine with the command."""
_SERVICE_LINK: Final = re.compile(
    r"SPANHOUSE_(?:[A-Z0-9_]+_)?(?:SERVICE_(?:HOST|PORT(?:_[A-Z0-9_]+)?)|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)"
)
"""Variables that Kubernetes sets in every container of a namespace for a Service named ``spanhouse`` or ``spanhouse-...``."""


def refuse_unknown(environ: Mapping[str, str], options: Iterable[Option]) -> None:
    """Refuse a ``SPANHOUSE_*`` variable that sets nothing; a blank one counts as unset.

    Raises:
        CommandError: names the variable and the nearest known one.
    """
    known = {option.variable for option in options}.union(PROCESSOR_VARIABLES, DEPLOYMENT_VARIABLES, (DATA_DIR_VARIABLE,))
    for name, value in environ.items():
        if name.startswith(VARIABLE_PREFIX) and name not in known and value.strip() and not _SERVICE_LINK.fullmatch(name):
            raise CommandError(f"environment variable {name}: unknown; the nearest known one is {nearest(name, known)}")
