-- Grafana's ClickHouse datasource, its search for traces; $__fromTime and $__toTime as its backend fills them in.
-- From grafana/clickhouse-datasource, src/data/sqlGenerator.ts and pkg/macros.
SELECT "TraceId" as traceID, "ServiceName" as serviceName, "SpanName" as operationName, "Timestamp" as startTime,
multiply("Duration", 0.000001) as duration
FROM "<database>"."otel_traces" WHERE ( Timestamp >= toDateTime(<from>) AND Timestamp <= toDateTime(<to>) )
AND ( ParentSpanId = '' ) AND ( Duration > 0 ) ORDER BY Timestamp DESC, Duration DESC LIMIT 1000
