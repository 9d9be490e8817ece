-- Grafana's ClickHouse datasource, a time series by service; $__timeInterval as its backend fills it in.
-- From grafana/clickhouse-datasource, src/data/sqlGenerator.ts (trend) and pkg/macros.
SELECT toStartOfInterval(toDateTime(Timestamp), INTERVAL 60 second) as "time", ServiceName, count(*) as spans
FROM "<database>"."otel_traces" WHERE ( time >= toDateTime(<from>) AND time <= toDateTime(<to>) )
GROUP BY ServiceName, time ORDER BY time ASC LIMIT 1000
