-- Grafana's ClickHouse datasource, the values that a filter on the service offers.
-- From grafana/clickhouse-datasource, src/data/CHDatasource.ts.
SELECT DISTINCT ServiceName FROM <database>.otel_traces ORDER BY ServiceName LIMIT 1000
