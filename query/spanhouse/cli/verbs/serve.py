"""``spanhouse serve``: the receiving side, until it is told to stop."""

from __future__ import annotations

import os
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.store_access import given_store
from spanhouse.cli.verb_table.serve import configured_options
from spanhouse.exporter import logs
from spanhouse.exporter.address import ConfigError
from spanhouse.exporter.serve.config import ServeConfig


def run(arguments: Namespace) -> int:
    """Build the receiver's configuration and run it."""
    values = vars(arguments)
    config = ServeConfig(store=given_store(arguments.store), **{option.key: values[option.key] for option in configured_options()})
    logs.configure(config.log_format, config.log_level)
    # gRPC's core prints, past Python, problems that come as exceptions, too. It reads this variable when it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        config.validate()
        with _shared_metrics() if config.processes > 1 else nullcontext():
            return _serve(config)
    except ConfigError as error:
        raise CommandError(str(error)) from error


@contextmanager
def _shared_metrics() -> Iterator[None]:
    """Name a directory in which several processes keep their counts; prometheus_client reads the variable when it is imported."""
    with tempfile.TemporaryDirectory(prefix="spanhouse-metrics-") as directory:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        yield


def _serve(config: ServeConfig) -> int:
    from spanhouse.console import Console
    from spanhouse.exporter.serve.app import run as serve

    serve(config, Console)
    return Exit.DONE
