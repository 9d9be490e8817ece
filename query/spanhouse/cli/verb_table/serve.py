"""Verb `serve`, its options derived from the fields of its configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, Final, get_args, get_type_hints

from spanhouse.cli.option import Option
from spanhouse.cli.verb_table.shared_options import CONFIG, OWN_STORE
from spanhouse.cli.verb_table.verb import Verb
from spanhouse.exporter.serve.config import DESCRIPTION, Description, ServeConfig


def _options() -> Iterator[Option]:
    kinds = get_type_hints(ServeConfig)
    for field in fields(ServeConfig):
        described = field.metadata.get(DESCRIPTION)
        if isinstance(described, Description):
            yield _option(field.name, kinds[field.name], field.default, described)


def _option(name: str, kind: type[str | int | Path] | UnionType, default: Any, described: Description) -> Option:
    alone: type[str | int | Path] = get_args(kind)[0] if isinstance(kind, UnionType) else kind
    return Option(
        name=name.replace("_", "-"),
        kind=alone,
        default=default,
        choices=tuple(member.value for member in alone) if issubclass(alone, StrEnum) else (),
        help=described.help,
        metavar=described.metavar,
        shown_default=described.shown_default,
        least=described.least,
        most=described.most,
    )


CONFIGURED: Final = tuple(_options())
"""Options that are fields of ``ServeConfig``, under the same keys."""
SPOOL: Final = next(option for option in CONFIGURED if option.name == "spool")
SERVE: Final = Verb(
    name="serve",
    summary="receive OTLP over gRPC and HTTP and keep it in a store",
    module="serve",
    extra="server",
    options=(OWN_STORE, *CONFIGURED, CONFIG),
    examples=("spanhouse serve", "spanhouse serve --store chdb:///var/lib/spanhouse/store --clickhouse-http off"),
)
