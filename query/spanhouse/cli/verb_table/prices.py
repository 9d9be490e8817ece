"""Actions of prices."""

from __future__ import annotations

from typing import Final

from spanhouse.cli.option import Option
from spanhouse.cli.verb_table.shared_options import CLUSTER, CONFIG, FORMAT, STORE
from spanhouse.cli.verb_table.verb import Argument, Group, Verb

_REACHED: Final = (STORE, CONFIG)
_REQUIRED: Final = "none, --delete needs none"

PRICES_GROUP: Final = Group(name="prices", summary="list, set, import and apply prices of models, which give traces a cost where none was sent")
PRICES_ACTIONS: Final = (
    Verb(
        name="prices list",
        summary="print the prices in use and where they come from",
        module="prices",
        arguments=(Argument(name="model", help="model, as spans name it (default: all models)", optional=True),),
        fixed_options=(FORMAT, *_REACHED),
        examples=("spanhouse prices list", "spanhouse prices list gpt-4o-2024-08-06"),
    ),
    Verb(
        name="prices set",
        summary="set the prices of one model",
        module="prices",
        arguments=(Argument(name="model", help="model, as spans name it"),),
        fixed_options=(
            Option(name="input", kind=float, metavar="USD", shown_default=_REQUIRED, help="price in USD of a million input tokens"),
            Option(name="output", kind=float, metavar="USD", shown_default=_REQUIRED, help="price in USD of a million output tokens"),
            Option(name="cached", kind=float, metavar="USD", shown_default="unknown", help="price in USD of a million input tokens from a cache"),
            Option(name="reasoning", kind=float, metavar="USD", shown_default="unknown", help="price in USD of a million reasoning tokens"),
            Option(name="delete", kind=bool, default=False, help="delete the store's prices of the model, so that the shipped ones count again"),
            Option(name="from", metavar="DATE", default="", shown_default="all times", help="first day in UTC on which the prices count"),
            *_REACHED,
        ),
        examples=("spanhouse prices set our-model --input 2.5 --output 10 --cached 1.25 --from 2026-01-01",),
    ),
    Verb(
        name="prices import",
        summary="set the prices in a file or in the package genai-prices",
        module="prices",
        arguments=(Argument(name="file", help="CSV or JSON file, as `prices list --format csv` prints it", optional=True),),
        fixed_options=(
            Option(
                name="from",
                metavar="genai-prices",
                default="",
                shown_default="the file",
                help="package to read in place of a file",
            ),
            *_REACHED,
        ),
        examples=("spanhouse prices import prices.csv", "spanhouse prices import --from genai-prices"),
    ),
    Verb(
        name="prices apply",
        summary="give the traces since a day the cost of the current prices",
        module="prices",
        fixed_options=(
            Option(
                name="since",
                metavar="DATE",
                default="",
                shown_default="none, always needed",
                help="first day in UTC of the traces, or their age: a number and s, m, h, d or w",
            ),
            CLUSTER,
            *_REACHED,
        ),
        examples=("spanhouse prices apply --since 2026-01-01", "spanhouse prices apply --since 7d"),
    ),
)
