"""Requests to the ClickHouse-compatible endpoint for its fuzzer, each made of its number alone, so that one can be made again."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote_plus, urlencode

import lz4.frame
from tests.faults.fuzzing import head
from tests.support.mutation import mutate_bytes

from spanhouse.exporter.clickhouse_http import compressed_blocks

_ATTACKS: Final = list(json.loads((Path(__file__).parent / "clickhouse_http_attacks.json").read_text()).values())
_QUERIES: Final = [
    "SELECT 1",
    "SELECT {n:UInt32}, {s:String}, {list:Array(String)}",
    "SELECT number, toString(number) FROM numbers(20000)",
    "SELECT * FROM traces ORDER BY Timestamp DESC LIMIT 10 FORMAT JSON",
    "SELECT ServiceName, count(), quantile(0.9)(Duration) FROM otel_traces GROUP BY ServiceName WITH TOTALS FORMAT JSONCompact",
    "WITH t AS (SELECT Metadata['app_version'] AS v FROM traces) SELECT v, count() FROM t GROUP BY v SETTINGS max_threads = 1",
    "SHOW TABLES",
    "DESCRIBE TABLE otel_traces FORMAT CSVWithNames",
    "EXPLAIN indexes = 1 SELECT * FROM otel_traces WHERE TraceId = 'x'",
    "SELECT throwIf(number = 15000) FROM numbers(20000) SETTINGS max_block_size = 1000",
    "",
]
_WORDS: Final = [
    *(b"SELECT", b" FROM ", b"(", b")", b"'", b"`", b'"', b"\\", b"/*", b"*/", b"--", b";", b"{n:UInt32}", b"{", b"}", b" FORMAT ", b" SETTINGS "),
    *(b"\0", b"\xff", b"\xed\xa0\x80", b"\r\n", b"9" * 400, b"(" * 500, b"[1]" * 200, b"NULL", b" UNION ALL SELECT 1", b" INTO OUTFILE 'x'", b"::"),
]
_VALUES: Final = ["", "0", "1", "-1", "true", "1e999", "18446744073709551616", "é", "\0", "\r\nx: y", "'", "\\N", "\ud7ff", "x" * 3000, "%", "['a']"]
_FIELDS: Final = [
    *("query", "database", "default_format", "query_id", "session_id", "compress", "decompress", "enable_http_compression", "param_n", "param_s"),
    *("param_list", "max_memory_usage", "max_result_rows", "max_threads", "extremes", "readonly", "output_format_json_quote_64bit_integers"),
    *("session_timezone", "format_csv_delimiter", "join_use_nulls", "no_such_setting", "user", "password", "wait_end_of_query", "", "param_"),
]
_FORMATS: Final = ["JSON", "Native", "Parquet", "Arrow", "CSV", "Pretty", "XML", "Template", "Null", "ORC", "Npy", "MsgPack", "jsoneachrow"]
_HEADERS: Final = ["content-type", "accept-encoding", "authorization", "x-clickhouse-format", "x-clickhouse-database", "x-clickhouse-key", "expect"]
_PATHS: Final = ["/ping", "/replicas_status", "/nothing", "/play", "//", "/%00", "/../", "*", "/?"]
_PACKERS: Final[dict[str, Callable[[bytes], bytes]]] = {"gzip": gzip.compress, "deflate": zlib.compress, "lz4": lz4.frame.compress}


@dataclass(frozen=True, slots=True)
class Case:
    """One request.

    Attributes:
        number: what it was made of.
        expected: the result of an undamaged one; empty for others.
        raw: an HTTP head that is damaged itself; empty for none. Any answer that is HTTP will do then, and none.
    """

    number: int
    method: str = "POST"
    target: str = "/"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    expected: bytes = b""
    raw: bytes = b""


def make(number: int, seed: int) -> Case:
    """The request of a number."""
    chance = random.Random(seed << 64 | number)
    if chance.random() < 0.05:
        return Case(number, target=f"/?param_n={number}", body=b"SELECT {n:UInt64}", expected=b"%d\n" % number)
    fields = {"max_execution_time": "2", "param_n": "1", "param_s": "x", "param_list": "['a','b']"}
    for _ in range(chance.choice([0, 0, 1, 1, 2, 5])):
        name = chance.choice(_FIELDS)
        fields[name] = chance.choice(_FORMATS if name == "default_format" and chance.random() < 0.8 else _VALUES)
    headers = {}
    statement = _statement(chance)
    body = statement
    if chance.random() < 0.1:
        headers["content-type"] = "multipart/form-data; boundary=b"
        body = b'--b\r\nContent-Disposition: form-data; name="query"\r\n\r\n' + statement + b"\r\n--b--\r\n"
        body = mutate_bytes(chance, body) if chance.random() < 0.5 else body
    if chance.random() < 0.3:
        fields, headers, body = _pack(chance, fields, headers, body)
    if chance.random() < 0.1:
        headers[chance.choice(_HEADERS)] = chance.choice(
            ["", "gzip", "lz4, gzip;q=0", "\xff", "100-continue", "Basic !", "Bearer x", "multipart/form-data"]
        )
    query = urlencode(fields, errors="surrogatepass", quote_via=quote_plus)
    if chance.random() < 0.05:
        query = mutate_bytes(chance, query.encode()).decode("latin-1").translate(dict.fromkeys((*range(33), 127, *range(128, 256), 35)))
    path = chance.choice(_PATHS) if chance.random() < 0.03 else "/"
    method = chance.choice(["GET", "HEAD", "PUT", "OPTIONS", "DELETE"]) if chance.random() < 0.1 else "POST"
    target = f"{path}?{query}"
    if chance.random() < 0.03:
        return Case(number, body=body, raw=mutate_bytes(chance, head(method, target, headers, body)) or b"\0")
    return Case(number, method=method, target=target, headers=headers, body=body)


def _statement(chance: random.Random) -> bytes:
    if chance.random() < 0.2:
        text = chance.choice(_ATTACKS)
        return (text if isinstance(text, str) else json.dumps(text)).encode()
    statement = chance.choice(_QUERIES).encode()
    for _ in range(chance.choice([0, 0, 1, 2, 4])):
        at = chance.randint(0, len(statement))
        statement = statement[:at] + chance.choice(_WORDS) + statement[at + chance.choice([0, 0, 1, 5]) :]
    return mutate_bytes(chance, statement) if chance.random() < 0.2 else statement


def _pack(chance: random.Random, fields: dict[str, str], headers: dict[str, str], body: bytes) -> tuple[dict[str, str], dict[str, str], bytes]:
    """The body packed, now and then damaged; what says how."""
    if chance.random() < 0.4:
        fields, body = {**fields, "decompress": "1"}, compressed_blocks.compress(body)
    else:
        packing = chance.choice(list(_PACKERS))
        headers, body = {**headers, "content-encoding": packing}, _PACKERS[packing](body)
    return fields, headers, mutate_bytes(chance, body) if chance.random() < 0.5 else body
