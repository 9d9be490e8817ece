-- p0: ["0a", "0b"]
WITH (SELECT (fromUnixTimestamp64Nano(min((toUnixTimestamp64Nano(Timestamp) - toInt64(Before)))), fromUnixTimestamp64Nano(max((toUnixTimestamp64Nano(Timestamp) + toInt64(After))))) FROM spanhouse_trace_rows WHERE TraceId IN {p0:Array(String)} AND NOT Gone) AS times
SELECT TraceId, SpanId, ParentSpanId, SpanName, toUnixTimestamp64Nano(Timestamp), toInt64(Duration), StatusCode,
    StatusMessage, SpanKind, ServiceName, ScopeName, ScopeVersion, SpanAttributes, ResourceAttributes,
    Events.Name, arrayMap(time -> toUnixTimestamp64Nano(time), Events.Timestamp), Events.Attributes,
    Links.TraceId, Links.SpanId, Links.TraceState, Links.Attributes
FROM otel_traces
WHERE TraceId IN {p0:Array(String)} AND Timestamp BETWEEN times.1 AND times.2
