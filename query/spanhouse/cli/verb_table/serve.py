"""Verb `serve`. Its options are derived from the fields of its configuration."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final

from spanhouse.cli.option import Option
from spanhouse.cli.verb_table.shared_options import CONFIG, OWN_STORE
from spanhouse.cli.verb_table.verb import Verb


@cache
def configured_options() -> tuple[Option, ...]:
    """Return the options that are fields of ``ServeConfig``, under the same keys."""
    return tuple(_options())


def spool_option() -> tuple[Option, ...]:
    """Return the option ``--spool`` alone."""
    return tuple(option for option in configured_options() if option.name == "spool")


def _options() -> Iterator[Option]:
    from dataclasses import fields
    from enum import StrEnum
    from types import UnionType
    from typing import get_args, get_type_hints

    from spanhouse.exporter.serve.config import DESCRIPTION, Description, ServeConfig

    kinds = get_type_hints(ServeConfig)
    for field in fields(ServeConfig):
        described = field.metadata.get(DESCRIPTION)
        if not isinstance(described, Description):
            continue
        kind = kinds[field.name]
        kind = get_args(kind)[0] if isinstance(kind, UnionType) else kind
        yield Option(
            name=field.name.replace("_", "-"),
            kind=kind,
            default=None if field.default is None else kind(field.default),
            choices=tuple(member.value for member in kind) if issubclass(kind, StrEnum) else (),
            help=described.help,
            metavar=described.metavar,
            shown_default=described.shown_default,
            least=described.least,
            most=described.most,
        )


SERVE: Final = Verb(
    name="serve",
    summary="receive OTLP over gRPC and HTTP and keep it in a store",
    module="serve",
    extra="server",
    derived_options=configured_options,
    fixed_options=(OWN_STORE, CONFIG),
    examples=("spanhouse serve", "spanhouse serve --store chdb:///var/lib/spanhouse/store --clickhouse-http off"),
)
