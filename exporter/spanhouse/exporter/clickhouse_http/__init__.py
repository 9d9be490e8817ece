"""ClickHouse's HTTP interface over the embedded store, read-only for everybody.

One process owns an embedded store; this endpoint lets every other process read it with an ordinary ClickHouse client.
"""

from spanhouse.exporter.clickhouse_http.app import ClickHouseHttp
from spanhouse.exporter.clickhouse_http.connection import Result
from spanhouse.exporter.clickhouse_http.errors import EngineError, QueryRefusedError
from spanhouse.exporter.clickhouse_http.query_log import Logged, QueryLog
from spanhouse.exporter.clickhouse_http.reader import Reader
from spanhouse.exporter.clickhouse_http.settings import Limits

__all__ = ["ClickHouseHttp", "EngineError", "Limits", "Logged", "QueryLog", "QueryRefusedError", "Reader", "Result"]
