"""Inserts what rotel sent, by the embedded engine: ``python -m tests.benchmarks.insert_captured DIRECTORY ROWS``.

Prints the CPU seconds of the inserts and of the merges after them, and the rows that are stored.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs

import clickhouse_connect
from tests.benchmarks.rotel import unpacked

from spanhouse.schema.tables import migrations

_MARK = b"chatcmpl-"


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(directory: Path, rows: int) -> None:
    client = clickhouse_connect.get_client(dsn=f"chdb://{directory}/engine")
    (table,) = (text for text in migrations.load().baseline.statements if "CREATE TABLE IF NOT EXISTS otel_traces\n" in text)
    client.command(table)
    query = parse_qs((directory / "000000.query").read_text())["query"][0]
    # INSERT INTO otel_traces (COLUMNS) ... FORMAT RowBinary
    head, _, form = query.rpartition("FORMAT")
    columns = [name.strip(" `\n") for name in head[head.index("(") + 1 : head.rindex(")")].split(",")]
    joined: list[list[bytes]] = [[]]
    waiting = 0
    for path in sorted(directory.glob("*.insert")):
        block = unpacked(path.read_bytes())
        joined[-1].append(block)
        waiting += block.count(_MARK)
        if waiting >= rows:
            joined.append([])
            waiting = 0
    before = cpu()
    for blocks in joined:
        if blocks:
            client.raw_insert("otel_traces", columns, insert_block=b"".join(blocks), fmt=form.strip())
    while True:
        now = cpu()
        time.sleep(1)
        if cpu() - now < 0.1:
            break
    print(cpu() - before, client.command("SELECT count() FROM otel_traces"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
