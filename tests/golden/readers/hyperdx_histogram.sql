-- HyperDX, spans over time by status.
-- From hyperdxio/hyperdx, packages/common-utils/src/core/renderChartConfig.ts.
SELECT count(),StatusCode,toStartOfInterval(toDateTime(Timestamp), INTERVAL 1 minute) AS `__hdx_time_bucket`
FROM <database>.otel_traces
WHERE (Timestamp >= fromUnixTimestamp64Milli(<from>000) AND Timestamp <= fromUnixTimestamp64Milli(<to>000))
GROUP BY StatusCode,toStartOfInterval(toDateTime(Timestamp), INTERVAL 1 minute) AS `__hdx_time_bucket`
ORDER BY toStartOfInterval(toDateTime(Timestamp), INTERVAL 1 minute) AS `__hdx_time_bucket` LIMIT 100000
