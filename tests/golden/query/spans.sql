-- p0: ["0af7651916cd43dd8448eb211c80319c"]
SELECT TraceId, SpanId, ParentSpanId, SpanName, toUnixTimestamp64Nano(Timestamp), toInt64(Duration), StatusCode,
    StatusMessage, SpanKind, ServiceName, ScopeName, ScopeVersion, SpanAttributes, ResourceAttributes,
    Events.Name, arrayMap(time -> toUnixTimestamp64Nano(time), Events.Timestamp), Events.Attributes,
    Links.TraceId, Links.SpanId, Links.TraceState, Links.Attributes
FROM otel_traces
WHERE TraceId IN {p0:Array(String)}
ORDER BY TraceId, Timestamp, ParentSpanId != '', SpanId
