-- HyperDX, the list of spans.
-- From hyperdxio/hyperdx, packages/common-utils/src/core/renderChartConfig.ts with the columns of packages/app/src/source.ts.
SELECT Timestamp,ServiceName as service,StatusCode as level,round(Duration / 1e6) as duration,SpanName
FROM <database>.otel_traces
WHERE (Timestamp >= fromUnixTimestamp64Milli(<from>000) AND Timestamp <= fromUnixTimestamp64Milli(<to>000))
ORDER BY toDateTime(Timestamp) DESC, Timestamp DESC LIMIT 200 OFFSET 0
