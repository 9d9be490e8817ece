"""ClickHouse's HTTP interface over the embedded store, read-only for everybody."""
