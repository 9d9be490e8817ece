"""The write path behind the transports: spool and drain, or the store alone, whichever acknowledges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Final

from spanhouse.exporter.ingest.admission import Admission
from spanhouse.exporter.ingest.batcher import Batcher
from spanhouse.exporter.ingest.drain import Drain
from spanhouse.exporter.ingest.service import ExportService
from spanhouse.exporter.readiness import Readiness
from spanhouse.exporter.serve.config import BATCH_BYTES, BATCH_SPANS, LINGER_SECONDS, MAX_REQUEST_BYTES, STOP_SECONDS, WAITING_BYTES, Ack, ServeConfig
from spanhouse.exporter.spool.appender import SpoolAppender, SpoolLimits
from spanhouse.exporter.spool.capacity import SpoolCapacity
from spanhouse.exporter.spool.directory import SpoolDirectory
from spanhouse.exporter.spool.seen_requests import SeenRequests
from spanhouse.exporter.store.open_store import OpenStore
from spanhouse.exporter.store.settle_thread import settling
from spanhouse.exporter.store.writer import Batch, Writer

_NO_LIMIT: Final = 2**62
_SEAL_SECONDS: Final = 0.05
"""Pause between two looks whether the open segment is due."""


@asynccontextmanager
async def acknowledging(config: ServeConfig, store: OpenStore, readiness: Readiness) -> AsyncIterator[ExportService]:
    """Run the whole write path of a server that is one process."""
    if config.ack is Ack.STORE:
        async with _into_store(store) as service:
            yield service
        return
    async with draining(config, store), spooling(config, 0, readiness) as service:
        yield service


@asynccontextmanager
async def draining(config: ServeConfig, store: OpenStore) -> AsyncIterator[None]:
    """Empty the spool into the store; at the end store the rest, as far as the time goes."""
    with _root(config) as root, settling(store) as settler:
        writer = Writer(store.client, SeenRequests.load(root.path), root.identity, store.writing, stored_some=settler.notify)
        drain = Drain(root, writer, batch_bytes=BATCH_BYTES)
        drain.start()
        try:
            yield
        finally:
            await asyncio.to_thread(drain.stop, STOP_SECONDS)


@contextmanager
def _root(config: ServeConfig) -> Iterator[SpoolDirectory]:
    with closing(SpoolDirectory.open(config.spool_directory, str(config.store))) as root:
        yield root


@asynccontextmanager
async def spooling(config: ServeConfig, receiver: int, readiness: Readiness) -> AsyncIterator[ExportService]:
    """Acknowledge requests from the spool. Those that wait share one fsync."""
    appender = SpoolAppender.open(config.spool_directory, receiver, _spool_limits(config))
    batcher = Batcher(appender.append, linger_seconds=0, max_spans=_NO_LIMIT, max_bytes=BATCH_BYTES)
    batcher.start()
    sealing = asyncio.create_task(_seal(appender, readiness))
    try:
        yield _service(batcher, appender.capacity)
    finally:
        sealing.cancel()
        await batcher.close()
        await asyncio.to_thread(appender.close)


def _spool_limits(config: ServeConfig) -> SpoolLimits:
    return SpoolLimits(
        spool_bytes=config.spool_bytes,
        free_bytes=config.spool_free_bytes,
        segment_spans=BATCH_SPANS,
        segment_bytes=BATCH_BYTES,
        linger_seconds=LINGER_SECONDS,
    )


def _service(batcher: Batcher, capacity: SpoolCapacity | None) -> ExportService:
    return ExportService(Admission(batcher, waiting_bytes=WAITING_BYTES, capacity=capacity), batcher, MAX_REQUEST_BYTES)


async def _seal(appender: SpoolAppender, readiness: Readiness) -> None:
    while True:
        await asyncio.to_thread(appender.seal)
        readiness.set("spool", appender.unwritable or appender.capacity.full or None)
        await asyncio.sleep(_SEAL_SECONDS)


@asynccontextmanager
async def _into_store(store: OpenStore) -> AsyncIterator[ExportService]:
    """Acknowledge requests from the store. Those that wait share one insert."""
    with settling(store) as settler:
        writer = Writer(store.client, SeenRequests(), turn=store.writing, stored_some=settler.notify)
        batcher = Batcher(
            lambda requests: writer.insert(Batch.of(requests)),
            linger_seconds=LINGER_SECONDS,
            max_spans=BATCH_SPANS,
            max_bytes=BATCH_BYTES,
        )
        batcher.start()
        try:
            yield _service(batcher, None)
        finally:
            await batcher.close()
