"""``spanhouse serve``: the receiving side, until it is told to stop."""

from __future__ import annotations

import os
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.store_access import given_store
from spanhouse.exporter import logs
from spanhouse.schema.address.embedded import Bounds


def run(arguments: Namespace) -> int:
    """Build the receiver's configuration and run it."""
    logs.configure(logs.LogFormat(arguments.log_format), arguments.log_level)
    # gRPC's core would print past Python what comes as an exception, too; it looks at this when it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    with _shared_metrics() if arguments.processes > 1 else nullcontext():
        return _serve(arguments)


@contextmanager
def _shared_metrics() -> Iterator[None]:
    """Where several processes keep what they count; prometheus_client looks at the variable when it is imported."""
    with tempfile.TemporaryDirectory(prefix="spanhouse-metrics-") as directory:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        yield


def _serve(arguments: Namespace) -> int:
    from spanhouse.console import Console
    from spanhouse.exporter.address import ConfigError
    from spanhouse.exporter.clickhouse_http.query_log import Logged
    from spanhouse.exporter.serve.app import run as serve
    from spanhouse.exporter.serve.config import Ack, ServeConfig

    config = ServeConfig(
        store=given_store(arguments.store),
        grpc=arguments.grpc,
        http=arguments.http,
        clickhouse_http=arguments.clickhouse_http,
        query_memory_bytes=arguments.query_memory_bytes,
        query_log=Logged(arguments.query_log),
        console=arguments.console,
        spool=arguments.spool,
        spool_bytes=arguments.spool_bytes,
        spool_free_bytes=arguments.spool_free_bytes,
        processes=arguments.processes,
        ack=Ack(arguments.ack),
        engine=Bounds(memory_bytes=arguments.engine_memory_bytes, cache_bytes=arguments.engine_cache_bytes),
        log_format=logs.LogFormat(arguments.log_format),
        log_level=arguments.log_level,
        token_file=arguments.token_file,
        tls_cert=arguments.tls_cert,
        tls_key=arguments.tls_key,
        tls_client_ca=arguments.tls_client_ca,
        cors_origins=arguments.cors_origins,
    )
    try:
        config.validate()
        serve(config, Console)
    except ConfigError as error:
        raise CommandError(str(error)) from error
    return Exit.DONE
