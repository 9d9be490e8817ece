"""Verbs beside a store: demo, metadata, completion, doctor."""

from __future__ import annotations

from typing import Final

from spanhouse.cli.option import Option
from spanhouse.cli.verb_table.serve import spool_option
from spanhouse.cli.verb_table.shared_options import CONFIG, STORE
from spanhouse.cli.verb_table.verb import Argument, Verb

SHELLS: Final = ("bash", "zsh", "fish")
"""Shells that can complete the command's words."""

DEMO: Final = Verb(
    name="demo",
    summary="run a real app at two commits and ask which one is worse",
    module="demo",
    extra="demo",
    fixed_options=(
        Option(name="keep", kind=bool, default=False, help="keep the demo's store and print where it is"),
        Option(name="requests", kind=int, metavar="N", default=300, least=1, help="number of requests to send to each version"),
        Option(
            name="failure-rate",
            kind=float,
            metavar="FRACTION",
            help="share of the new version's requests that fail",
            shown_default="as in the code of the demo's app",
            least=0,
            most=1,
        ),
    ),
    examples=("spanhouse demo", "spanhouse demo --failure-rate 0.3 --keep"),
)
METADATA: Final = Verb(
    name="metadata",
    summary="show the metadata that the processor stamps for an entry point, and where each value comes from",
    module="metadata",
    extra="",
)
COMPLETION: Final = Verb(
    name="completion",
    summary="print the code by which a shell completes words of this command",
    module="completion",
    arguments=(Argument(name="shell", help="bash, zsh or fish", choices=SHELLS),),
    examples=(
        'eval "$(spanhouse completion bash)"',
        "spanhouse completion zsh > ~/.zfunc/_spanhouse",
        "spanhouse completion fish > ~/.config/fish/completions/spanhouse.fish",
    ),
)
DOCTOR: Final = Verb(
    name="doctor",
    summary="check whether everything is fine: packages, server, ports, tables, spool, the store's data; say what to do",
    module="doctor",
    extra="",
    derived_options=spool_option,
    fixed_options=(STORE, CONFIG),
    examples=("spanhouse doctor",),
)
