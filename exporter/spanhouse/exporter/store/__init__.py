"""The open ClickHouse store: inserts, retries, settling, backups and maintenance."""
