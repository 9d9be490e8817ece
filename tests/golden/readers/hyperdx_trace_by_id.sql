-- HyperDX, the waterfall of one trace.
-- From hyperdxio/hyperdx, packages/app/src/components/DBTraceWaterfallChart.tsx with the source of packages/app/src/source.ts.
SELECT SpanName AS "Body",Timestamp AS "Timestamp",SpanId AS "SpanId",ServiceName AS "ServiceName",(Duration)/1e9 AS "Duration",
ParentSpanId AS "ParentSpanId",StatusCode AS "StatusCode",SpanAttributes AS "SpanAttributes",
arrayMap((ts, name, attrs) -> map('Timestamp', toString(ts), 'Name', name, 'Attributes', toJSONString(attrs)), Events.Timestamp, Events.Name, Events.Attributes) AS "SpanEvents"
FROM <database>.otel_traces
WHERE (Timestamp >= fromUnixTimestamp64Milli(<from>000) AND Timestamp <= fromUnixTimestamp64Milli(<to>000)) AND (TraceId = '<trace_id>')
LIMIT 50000
