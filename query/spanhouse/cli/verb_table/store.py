"""Verbs that make and look after a store: migrate, and the actions of store."""

from __future__ import annotations

from typing import Final

from spanhouse.cli.option import Option
from spanhouse.cli.verb_table.serve import spool_option
from spanhouse.cli.verb_table.shared_options import CHANGE, CLUSTER, FORMAT
from spanhouse.cli.verb_table.verb import Argument, Group, Verb

MIGRATE: Final = Verb(
    name="migrate",
    summary="make or update the tables of a store",
    module="migrate",
    fixed_options=(
        Option(name="plan", kind=bool, default=False, help="print the migrations that are missing; change nothing"),
        Option(name="resume", kind=bool, default=False, help="apply a migration again that was begun and not finished; wait for no other migrate"),
        CLUSTER,
        *CHANGE,
    ),
    examples=(
        "spanhouse migrate --plan",
        "spanhouse migrate --store http://user:password@host:8123/spanhouse",
        "spanhouse migrate --store http://user:password@host:8123/spanhouse --cluster main",
    ),
)

STORE_GROUP: Final = Group(name="store", summary="look after a store: its size, its health, its copies, how long it keeps what")
STORE_ACTIONS: Final = (
    Verb(
        name="store size",
        summary="print the space that each table and partition takes on disk",
        module="store.size",
        fixed_options=(FORMAT, *CHANGE),
        examples=("spanhouse store size",),
    ),
    Verb(
        name="store check",
        summary="find damaged parts, and rows of traces that differ from their spans",
        module="store.check",
        fixed_options=CHANGE,
        examples=("spanhouse store check",),
    ),
    Verb(
        name="store compact",
        summary="merge the parts of each partition into one",
        module="store.compact",
        fixed_options=CHANGE,
        examples=("spanhouse store compact",),
    ),
    Verb(
        name="store backup",
        summary="copy an embedded store into a new directory",
        module="store.backup",
        arguments=(Argument(name="directory", help="directory to write, new or empty"),),
        fixed_options=CHANGE,
        examples=("spanhouse store backup /backups/monday",),
    ),
    Verb(
        name="store restore",
        summary="make an embedded store from a backup",
        module="store.restore",
        arguments=(Argument(name="directory", help="directory that `store backup` wrote"),),
        fixed_options=CHANGE,
        examples=("spanhouse store restore /backups/monday --store chdb:///var/lib/spanhouse/restored",),
    ),
    Verb(
        name="store push",
        summary="copy all spans into another store; run again, it copies what is missing",
        module="store.push",
        arguments=(Argument(name="target", help="DSN to copy to: http(s)://user:password@host:8123/database, or chdb:///new/directory"),),
        fixed_options=(CLUSTER, *CHANGE),
        examples=(
            "spanhouse store push http://user:password@host:8123/spanhouse",
            "spanhouse store push chdb:///var/lib/spanhouse/new --store chdb:///var/lib/spanhouse/store",
        ),
    ),
    Verb(
        name="store retention",
        summary="set for how many days each table keeps its rows",
        module="store.retention",
        arguments=(
            Argument(
                name="days",
                placeholder="NAME=DAYS,...",
                help="days for otel_traces, traces, trace_tags, metadata, models; 0 keeps everything (default at first: everything)",
            ),
        ),
        fixed_options=(CLUSTER, *CHANGE),
        examples=(
            "spanhouse store retention otel_traces=30,traces=90",
            "spanhouse store retention traces=0 --store http://user:password@host:8123/spanhouse",
        ),
    ),
    Verb(
        name="store adopt",
        summary="copy the spans of a table that the Collector's ClickHouse exporter made",
        module="store.adopt",
        arguments=(Argument(name="table", help="table to copy"),),
        fixed_options=(
            Option(name="from", metavar="DATABASE", default="", shown_default="the store's own", help="database of the table to copy"),
            CLUSTER,
            *CHANGE,
        ),
        examples=("spanhouse store adopt otel_traces --from otel --store http://user:password@host:8123/spanhouse",),
    ),
    Verb(
        name="store verify",
        summary="compare the definitions of the tables with those of this version",
        module="store.verify",
        fixed_options=(CLUSTER, *CHANGE),
        examples=("spanhouse store verify",),
    ),
    Verb(
        name="store settle",
        summary="bring the rows of traces up to their spans",
        module="store.settle",
        fixed_options=(
            Option(name="all", kind=bool, default=False, help="make the rows of all traces anew from their spans, not only of those that wait"),
            CLUSTER,
            *CHANGE,
        ),
        examples=("spanhouse store settle", "spanhouse store settle --all"),
    ),
    Verb(
        name="store replay",
        summary="try again to store dead letters: requests that could not be stored",
        module="store.replay",
        extra="server",
        derived_options=spool_option,
        fixed_options=CHANGE,
        examples=("spanhouse store replay", "spanhouse store replay --spool /var/lib/spanhouse/store-spool"),
    ),
)
