-- p0: ["0a"]
-- p1: 5
-- p2: 6
WITH (fromUnixTimestamp64Nano({p1:Int64}), fromUnixTimestamp64Nano({p2:Int64})) AS times
SELECT TraceId, SpanId, ParentSpanId, SpanName, toUnixTimestamp64Nano(Timestamp), toInt64(Duration), StatusCode,
    StatusMessage, SpanKind, ServiceName, ScopeName, ScopeVersion, SpanAttributes, ResourceAttributes,
    Events.Name, arrayMap(time -> toUnixTimestamp64Nano(time), Events.Timestamp), Events.Attributes,
    Links.TraceId, Links.SpanId, Links.TraceState, Links.Attributes
FROM otel_traces
WHERE TraceId IN {p0:Array(String)} AND Timestamp BETWEEN times.1 AND times.2
