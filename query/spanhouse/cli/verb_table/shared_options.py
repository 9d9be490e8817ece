"""Options and words that several verbs take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from spanhouse.cli.option import Option
from spanhouse.cli.verb_table.verb import Argument

CONFIG: Final = Option(
    name="config", kind=Path, metavar="FILE", shown_default="none", help="TOML file that sets options of all verbs; a key is an option's name"
)
STORE: Final = Option(
    name="store",
    metavar="DSN",
    help="store to read: chdb:///abs/dir or http(s)://user:password@host:8123/database",
    shown_default="the running server, else the embedded store of this user",
)
OWN_STORE: Final = replace(
    STORE, help="store: chdb:///abs/dir or http(s)://user:password@host:8123/database", shown_default="the embedded store of this user"
)
FORMAT: Final = Option(name="format", choices=("table", "json", "csv", "markdown"), default="table", help="form of the printed result")
CLUSTER: Final = Option(
    name="cluster",
    metavar="NAME",
    default="",
    shown_default="none: the store is one server",
    help="name of the cluster that is the store, as in the servers' configuration",
)
BY: Final = Option(name="by", metavar="KEY", default="version", help="key whose values are the versions: a metadata key, tag.K, resource.K, ...")
WHERE: Final = Option(name="where", metavar="FILTER", default="", shown_default="all traces", help="MLflow filter string of the traces to look at")
SINCE: Final = Option(
    name="since", metavar="7d", default="", shown_default="all times", help="age of the oldest traces to look at: a number and s, m, h, d or w"
)
SERVICE: Final = Option(
    name="service",
    metavar="NAME",
    default="",
    shown_default="whole traces",
    help="service whose part in traces is looked at, with the version, commit, branch, environment, errors and time of this part",
)
ORDER_BY: Final = Option(name="order-by", metavar="'KEY DESC'", help="key to sort the traces by", shown_default="timestamp_ms DESC")
LIMIT: Final = Option(name="limit", kind=int, metavar="N", default=20, help="most traces to find")
READ: Final = (FORMAT, STORE, CONFIG)
"""Options of each verb that reads a store and prints rows."""
CHANGE: Final = (OWN_STORE, CONFIG)
"""Options of each verb that works on a store itself."""

FILTER: Final = Argument(name="filter", help="MLflow filter string (default: every trace)", optional=True)
