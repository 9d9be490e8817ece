"""All verbs: their words, their options, the module that runs each and the extra that it needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from spanhouse.cli.settings import CONFIG, FORMAT, STORE, Option
from spanhouse.schema.address.embedded import DEFAULT_BOUNDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """A word that stands by position. An optional one is '' when left out; ``choices`` are what shells complete it to."""

    name: str
    help: str
    optional: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """A verb of the command.

    Attributes:
        summary: one line for the list of verbs.
        module: module of ``spanhouse.cli.verbs`` whose ``run(arguments) -> int`` does it.
        extra: the extra that has what it needs; '' if the core does.
        examples: command lines that its help shows.
    """

    name: str
    summary: str
    module: str
    extra: str = "query"
    arguments: tuple[Argument, ...] = ()
    options: tuple[Option, ...] = ()
    examples: tuple[str, ...] = ()


SHELLS: Final = ("bash", "zsh", "fish")
"""Those that can complete the command's words."""
_FILTER: Final = Argument(name="filter", help="MLflow filter string; left out, it matches every trace", optional=True)
_ORDER: Final = Option(name="order-by", metavar="'KEY DESC'", help="what comes first", shown_default="timestamp_ms DESC")
_LIMIT: Final = Option(name="limit", kind=int, metavar="N", default=20, help="how many traces to print at most")
_READ: Final = (STORE, CONFIG)
_OWN_STORE: Final = replace(STORE, shown_default="the embedded store of this user")
_ADDRESS: Final = "HOST:PORT"
_SPOOL: Final = Option(
    name="spool", kind=Path, metavar="DIR", help="where acknowledged requests wait for the store", shown_default="beside the embedded store"
)
_CLUSTER: Final = Option(
    name="cluster",
    metavar="NAME",
    default="",
    shown_default="one server",
    help="the store is this cluster, by its name in the servers' configuration",
)

_BY: Final = Option(name="by", metavar="KEY", default="version", help="what tells versions apart: a metadata key, tag.K, resource.K, ...")
_WHERE: Final = Option(name="where", metavar="FILTER", default="", shown_default="all traces", help="MLflow filter string of the traces to look at")
_SINCE: Final = Option(name="since", metavar="7d", default="", shown_default="everything", help="how far back to look: a number and s, m, h, d or w")

_SERVICE: Final = Option(
    name="service",
    metavar="NAME",
    default="",
    shown_default="whole traces",
    help="look at the part that this service took in traces: version, commit, branch, environment, errors and time are then its own",
)

SERVE: Final = Verb(
    name="serve",
    summary="receive OTLP over gRPC and HTTP and keep it in a store",
    module="serve",
    extra="server",
    options=(
        _OWN_STORE,
        Option(name="grpc", metavar=_ADDRESS, default="127.0.0.1:4317", help="OTLP over gRPC; port 0 picks a free one, off disables it"),
        Option(name="http", metavar=_ADDRESS, default="127.0.0.1:4318", help="OTLP over HTTP; likewise"),
        Option(
            name="clickhouse-http", metavar=_ADDRESS, default="127.0.0.1:8123", help="ClickHouse's HTTP, read-only, of an embedded store; likewise"
        ),
        Option(
            name="query-memory-bytes", kind=int, metavar="N", default=96 * 2**20, help="memory of all queries there together; one has up to 1 GiB"
        ),
        Option(
            name="query-log",
            choices=("off", "shape", "full"),
            default="shape",
            help="what STORE-queries.jsonl keeps of each query there: no values in it, all of it, or nothing",
        ),
        Option(name="console", metavar=_ADDRESS, default="127.0.0.1:8080", help="JSON API, by which tags are edited; likewise"),
        Option(
            name="spool", kind=Path, metavar="DIR", help="where acknowledged requests wait for the store", shown_default="beside the embedded store"
        ),
        Option(name="spool-bytes", kind=int, metavar="N", default=16 * 2**30, help="refuse requests, to be sent again, when so much waits"),
        Option(name="spool-free-bytes", kind=int, metavar="N", default=2**30, help="or when the spool's disk has no more than this left"),
        Option(name="processes", kind=int, metavar="N", default=1, help="receive in so many processes, which share the ports"),
        Option(
            name="ack",
            choices=("spool", "store"),
            default="spool",
            help="acknowledge a request when it is in the spool or, for a machine without a disk of its own, in the store",
        ),
        Option(
            name="engine-memory-bytes",
            kind=int,
            metavar="N",
            default=DEFAULT_BOUNDS.memory_bytes,
            help="memory that an embedded engine takes at most",
        ),
        Option(name="engine-cache-bytes", kind=int, metavar="N", default=DEFAULT_BOUNDS.cache_bytes, help="and of that for caches"),
        Option(name="token-file", kind=Path, metavar="FILE", help="who may do what, one name:sha256-of-token[:rights] a line"),
        Option(name="tls-cert", kind=Path, metavar="FILE", help="certificate of the OTLP listeners in PEM, and those between it and its CA"),
        Option(name="tls-key", kind=Path, metavar="FILE", help="its private key in PEM, not encrypted"),
        Option(name="tls-client-ca", kind=Path, metavar="FILE", help="take OTLP only from clients with a certificate of these CAs, in PEM"),
        Option(
            name="cors-origins",
            metavar="ORIGINS",
            default="",
            shown_default="none",
            help="web pages that may send OTLP over HTTP: https://app.example.com,... or * for all",
        ),
        Option(name="log-format", choices=("text", "json"), default="text", help="how a line of the log, on standard error, is written"),
        Option(name="log-level", choices=("error", "warning", "info", "debug"), default="warning", help="what is logged at least"),
        CONFIG,
    ),
    examples=("spanhouse serve", "spanhouse serve --store chdb:///var/lib/spanhouse/store --clickhouse-http off"),
)

VERBS: Final = (
    SERVE,
    Verb(
        name="demo",
        summary="run a real app at two commits and ask which one is worse",
        module="demo",
        extra="demo",
        options=(
            Option(name="keep", kind=bool, default=False, help="leave the store and say where it is"),
            Option(name="requests", kind=int, metavar="N", default=300, help="requests to send to each version"),
            Option(
                name="failure-rate",
                kind=float,
                metavar="FRACTION",
                help="how often the new version fails, between 0 and 1",
                shown_default="what its code says",
            ),
        ),
        examples=("spanhouse demo", "spanhouse demo --failure-rate 0.3 --keep"),
    ),
    Verb(
        name="search",
        summary="find traces by a filter",
        module="search",
        arguments=(_FILTER,),
        options=(
            _SERVICE,
            _ORDER,
            _LIMIT,
            FORMAT,
            Option(name="fail-if-empty", kind=bool, default=False, help="exit with 1 when nothing matches"),
            *_READ,
        ),
        examples=(
            "spanhouse search \"metadata.mlflow.source.type = 'production' AND status = 'ERROR'\"",
            "spanhouse search --order-by 'execution_time DESC' --limit 5",
            "spanhouse search --service pay \"status = 'ERROR'\"",
        ),
    ),
    Verb(
        name="trace",
        summary="show one trace: its spans as a tree, with times and metadata",
        module="trace",
        arguments=(Argument(name="trace-id", help="32 hex digits, with or without tr- before them"),),
        options=(FORMAT, *_READ),
        examples=("spanhouse trace tr-4bf92f3577b34da6a3ce929d0e0e4736",),
    ),
    Verb(
        name="compare",
        summary="compare versions: is the new one worse?",
        module="compare",
        extra="compare",
        arguments=(
            Argument(name="base", help="the value that is compared against; left out, all values are listed", optional=True),
            Argument(name="new", help="the value that is judged", optional=True),
        ),
        options=(
            _BY,
            _SERVICE,
            _WHERE,
            _SINCE,
            Option(name="per", metavar="KEY", default="", help="split the traces by this key (name, service, model, ...) and say where it got worse"),
            Option(
                name="metric",
                metavar="KEY,...",
                default="",
                help="further numbers: metadata keys, span.attributes.KEY, first-token; :higher after one: more is better",
            ),
            Option(name="stratify", metavar="KEY", default="name", help="compare like with like by this key; none compares all with all"),
            Option(name="plot", kind=Path, metavar="FILE", help="draw a picture besides: .png, .svg or .pdf", shown_default="none"),
            Option(name="fail-on-regression", kind=bool, default=False, help="exit with 1 when the new one is worse"),
            Option(name="max-error-increase", metavar="POINTS", default="0", help="with it: let the error rate rise so much, such as 0.5%"),
            Option(name="max-p50-increase", metavar="PERCENT", default="0", help="with it: let the median of latency rise so much, such as 5%"),
            Option(
                name="max-p95-increase", metavar="PERCENT", default="0", help="with it: let the 95th percentile of latency rise so much, such as 10%"
            ),
            Option(name="max-first-token-increase", metavar="PERCENT", default="0", help="with it: let the time to the first token rise so much"),
            Option(name="max-tokens-increase", metavar="PERCENT", default="0", help="with it: let input and output tokens rise so much"),
            Option(name="max-cost-increase", metavar="PERCENT", default="0", help="with it: let the cost rise so much"),
            FORMAT,
            *_READ,
        ),
        examples=(
            "spanhouse compare --by commit",
            "spanhouse compare --by commit --service pay",
            "spanhouse compare --by commit 3f2a1c0 9b8e7d6 --per name",
            "spanhouse compare 1.0.0 1.1.0 --where \"metadata.mlflow.source.type = 'production'\" --since 7d",
            "spanhouse compare 1.0.0 1.1.0 --plot versions.png",
            "spanhouse compare 1.0.0 1.1.0 --fail-on-regression --max-p95-increase 10% --format markdown >> $GITHUB_STEP_SUMMARY",
        ),
    ),
    Verb(
        name="bisect",
        summary="find the version at which the error rate or the latency changed",
        module="bisect",
        extra="compare",
        options=(
            _BY,
            _SERVICE,
            _WHERE,
            _SINCE,
            Option(
                name="repository",
                kind=Path,
                metavar="DIR",
                help="git clone whose history gives commits their order; where it has none of them, that of their first traces",
                shown_default="the current directory",
            ),
            FORMAT,
            *_READ,
        ),
        examples=(
            "spanhouse bisect --by commit --since 30d",
            "spanhouse bisect --by commit --service pay",
            "spanhouse bisect --by git.commit --repository ~/src/shop",
        ),
    ),
    Verb(
        name="diff",
        summary="align two traces span by span: where did the time go?",
        module="diff",
        arguments=(Argument(name="base", help="id of the trace that is compared against"), Argument(name="new", help="id of the other")),
        options=(FORMAT, *_READ),
        examples=("spanhouse diff 4bf92f3577b34da6a3ce929d0e0e4736 0af7651916cd43dd8448eb211c80319c",),
    ),
    Verb(
        name="keys",
        summary="list the metadata keys that traces have",
        module="keys",
        options=(FORMAT, *_READ),
        examples=("spanhouse keys",),
    ),
    Verb(
        name="values",
        summary="list the values of one metadata key, and how many traces have each",
        module="values",
        arguments=(Argument(name="key", help="as `spanhouse keys` prints it"),),
        options=(FORMAT, *_READ),
        examples=("spanhouse values app_version",),
    ),
    Verb(
        name="sql",
        summary="run a read-only statement",
        module="sql",
        arguments=(Argument(name="statement", help="one SELECT, SHOW, DESCRIBE, EXISTS or EXPLAIN"),),
        options=(FORMAT, *_READ),
        examples=('spanhouse sql "SELECT ServiceName, count() FROM traces GROUP BY ServiceName"',),
    ),
    Verb(
        name="explain",
        summary="print the SQL of a search and its parameters; run nothing, unless with --analyze",
        module="explain",
        arguments=(_FILTER,),
        options=(
            Option(name="analyze", kind=bool, default=False, help="search, and print each statement with rows and bytes that it read, and its time"),
            _ORDER,
            replace(_LIMIT, help="how many traces to look for"),
            FORMAT,
            *_READ,
        ),
        examples=("spanhouse explain \"metadata.app_version = '1.1.0'\"", "spanhouse explain \"status = 'ERROR'\" --analyze"),
    ),
    Verb(
        name="migrate",
        summary="make or update the tables of a store",
        module="migrate",
        options=(
            Option(name="plan", kind=bool, default=False, help="print what would be applied; change nothing"),
            Option(name="resume", kind=bool, default=False, help="apply a migration again that was begun and not finished, and wait for nobody"),
            Option(name="verify", kind=bool, default=False, help="compare the tables with what they should be; change nothing"),
            Option(
                name="ttl",
                metavar="NAME=DAYS,...",
                default="",
                shown_default="as it is; at first, nothing is ever deleted",
                help="how long to keep otel_traces, traces, trace_tags, metadata, models; 0 keeps everything",
            ),
            Option(name="adopt", metavar="TABLE", default="", help="copy the spans of a table that the Collector's exporter made"),
            Option(name="from", metavar="DATABASE", default="", shown_default="the store's own", help="database of that table"),
            _CLUSTER,
            _OWN_STORE,
            CONFIG,
        ),
        examples=(
            "spanhouse migrate --plan",
            "spanhouse migrate --store http://user:password@host:8123/spanhouse --ttl otel_traces=30,traces=90",
            "spanhouse migrate --store http://user:password@host:8123/spanhouse --adopt otel_traces --from otel",
        ),
    ),
    Verb(
        name="store",
        summary="look after a store: size, check, compact, settle, backup, restore, push",
        module="store",
        arguments=(
            Argument(
                name="action",
                help="size: its space on disk; check: find damage; compact: merge its parts; settle: bring the rows of traces up to their spans; "
                "backup, restore, push: copy it",
                choices=("size", "check", "compact", "settle", "backup", "restore", "push"),
            ),
            Argument(
                name="target",
                help="of backup and restore: a directory; of push: http(s)://user:password@host:8123/database, or chdb:///new/directory",
                optional=True,
            ),
        ),
        options=(
            Option(name="all", kind=bool, default=False, help="of settle: make the rows of all traces anew from their spans"),
            FORMAT,
            _CLUSTER,
            _OWN_STORE,
            CONFIG,
        ),
        examples=(
            "spanhouse store size",
            "spanhouse store check",
            "spanhouse store compact",
            "spanhouse store settle --all",
            "spanhouse store backup /backups/monday",
            "spanhouse store restore /backups/monday --store chdb:///var/lib/spanhouse/restored",
            "spanhouse store push http://user:password@host:8123/spanhouse",
            "spanhouse store push chdb:///var/lib/spanhouse/new --store chdb:///var/lib/spanhouse/store",
        ),
    ),
    Verb(
        name="prices",
        summary="list, set, import and apply prices of models, by which costs are computed where none was sent",
        module="prices",
        arguments=(
            Argument(
                name="action",
                help="list: what is used and where it comes from; set: prices of one model; import: those in a file; "
                "apply: make the rows of traces anew by the current prices",
                choices=("list", "set", "import", "apply"),
            ),
            Argument(
                name="target",
                help="of list and set: a model, as spans name it; of import: a file, CSV or JSON, as `prices list --format csv` prints it",
                optional=True,
            ),
        ),
        options=(
            Option(name="input", kind=float, metavar="USD", help="of set: price of a million tokens in"),
            Option(name="output", kind=float, metavar="USD", help="of set: price of a million tokens out"),
            Option(name="cached", kind=float, metavar="USD", help="of set: price of a million tokens in from a cache", shown_default="not known"),
            Option(name="reasoning", kind=float, metavar="USD", help="of set: price of a million tokens of reasoning", shown_default="not known"),
            Option(name="delete", kind=bool, default=False, help="of set: delete the store's prices of the model, so that others count again"),
            Option(
                name="from",
                metavar="DATE",
                default="",
                shown_default="all times",
                help="of set: first day of the prices, in UTC; of import: genai-prices, for the list in that package, in the place of a file",
            ),
            Option(name="since", metavar="DATE", default="", help="of apply, always needed: first day in UTC of the traces, or 7d for how far back"),
            FORMAT,
            _CLUSTER,
            *_READ,
        ),
        examples=(
            "spanhouse prices list",
            "spanhouse prices list gpt-4o-2024-08-06",
            "spanhouse prices set our-model --input 2.5 --output 10 --cached 1.25 --from 2026-01-01",
            "spanhouse prices import prices.csv",
            "spanhouse prices import --from genai-prices",
            "spanhouse prices apply --since 2026-01-01",
        ),
    ),
    Verb(
        name="replay",
        summary="try again to store what could not be stored",
        module="replay",
        extra="server",
        options=(_SPOOL, _OWN_STORE, CONFIG),
        examples=("spanhouse replay", "spanhouse replay --spool /var/lib/spanhouse/store-spool"),
    ),
    Verb(
        name="metadata",
        summary="show what the processor stamps for an entry point, and where each value comes from",
        module="metadata",
        extra="",
    ),
    Verb(
        name="completion",
        summary="print what bash, zsh or fish needs to complete words of this command",
        module="completion",
        arguments=(Argument(name="shell", help="bash, zsh or fish", choices=SHELLS),),
        examples=(
            'eval "$(spanhouse completion bash)"',
            "spanhouse completion zsh > ~/.zfunc/_spanhouse",
            "spanhouse completion fish > ~/.config/fish/completions/spanhouse.fish",
        ),
    ),
    Verb(
        name="doctor",
        summary="check versions, store, ports and schema, and say what to do",
        module="doctor",
        extra="",
        options=(_SPOOL, *_READ),
        examples=("spanhouse doctor",),
    ),
)

ALL_OPTIONS: Final = tuple({option.name: option for verb in VERBS for option in verb.options}.values())
"""What the TOML file may hold."""
